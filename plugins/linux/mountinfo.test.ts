import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  findMountAt,
  findMountOf,
  isAtOrBelow,
  ownMountNamespace,
  parseMountinfo,
  processStartTicks,
  readMountinfo,
  readMountNamespaces,
} from './mountinfo.ts';

const text = `22 27 0:20 / /proc rw,nosuid shared:5 - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
33 27 7:1 / /mnt/a\\040b\\134c rw - ext4 /dev/loop1 rw
34 27 254:0 /srv/data /data ro,relatime - ext4 /dev/vda rw
35 34 0:40 / /data/sub rw - tmpfs tmpfs rw,size=4k
36 34 0:41 / /data/sub rw - tmpfs other rw
half a line
`;

test('fields, with optional ones and escapes', () => {
  const mounts = parseMountinfo(text);
  assert.is(mounts.length, 6);
  const { propagation, ...data } = mounts[3] ?? {};
  assert.equal(propagation, []);
  assert.equal(data, {
    mountId: 34,
    parentId: 27,
    device: '254:0',
    root: '/srv/data',
    mountPoint: '/data',
    options: 'ro,relatime',
    fsType: 'ext4',
    source: '/dev/vda',
    superOptions: 'rw',
  });
  assert.is(mounts[2]?.mountPoint, '/mnt/a b\\c');
});

test('the mount that a path lies on is the longest, and the latest of a stack', () => {
  const mounts = parseMountinfo(text);
  assert.is(findMountOf('/data/sub/x', mounts)?.source, 'other');
  assert.is(findMountOf('/data/subway', mounts)?.mountPoint, '/data');
  assert.is(findMountOf('/elsewhere', mounts)?.mountPoint, '/');
  assert.is(findMountAt('/data/sub', mounts)?.mountId, 36);
  assert.is(findMountAt('/nothing', mounts), undefined);
});

test('below means below', () => {
  assert.ok(isAtOrBelow('/a', '/a') && isAtOrBelow('/a/b', '/a') && isAtOrBelow('/a', '/'));
  assert.not(isAtOrBelow('/ab', '/a'));
});

test('this machine', () => {
  assert.ok(findMountOf(process.cwd(), readMountinfo()) !== undefined);
  assert.ok(readMountNamespaces().some(({ name }) => name === ownMountNamespace()));
  assert.match(processStartTicks(process.pid) ?? '', /^\d+$/);
  assert.is(processStartTicks(2 ** 22 + 1), undefined);
});

test.run();
