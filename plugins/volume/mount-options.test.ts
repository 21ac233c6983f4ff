import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  findMountOption,
  formatMountOptions,
  hasMountFlag,
  parseMountOptions,
  withoutMountOptions,
} from './mount-options.ts';

test('commas separate, quotes keep them', () => {
  const options = parseMountOptions('addr=192.0.2.1,rw,context="a,b:c",nfsvers=4');
  assert.equal(
    options.map(({ name }) => name),
    ['addr', 'rw', 'context', 'nfsvers'],
  );
  assert.is(findMountOption(options, 'context'), '"a,b:c"');
  assert.is(formatMountOptions(options), 'addr=192.0.2.1,rw,context="a,b:c",nfsvers=4');
  assert.ok(hasMountFlag(options, 'rw'));
});

test('the last of several counts; empty parts do not', () => {
  const options = parseMountOptions(',size=1,,size=2,');
  assert.is(findMountOption(options, 'size'), '2');
  assert.is(formatMountOptions(withoutMountOptions(options, 'size')), '');
});

test.run();
