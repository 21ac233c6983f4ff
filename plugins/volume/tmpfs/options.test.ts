import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseTmpfsOptions } from './options.ts';

test('typed options become mount options, with safe flags', () => {
  assert.is(parseTmpfsOptions({}).options, 'nosuid,nodev');
  assert.is(
    parseTmpfsOptions({ size: '64m', nr_inodes: '100', uid: '3', gid: '4', mode: '0700', noexec: '' }).options,
    'nosuid,nodev,noexec,size=67108864,nr_inodes=100,uid=3,gid=4,mode=700',
  );
  assert.is(parseTmpfsOptions({ size: '25%', exec: 'false' }).options, 'nosuid,nodev,noexec,size=25%');
});

test("Docker's o= wins over ours", () => {
  assert.is(
    parseTmpfsOptions({ type: 'tmpfs', device: 'tmpfs', o: 'size=1m,exec,suid' }).options,
    'nodev,size=1m,exec,suid',
  );
});

test('keep', () => {
  assert.is(parseTmpfsOptions({}).keepMs, 0);
  assert.is(parseTmpfsOptions({ keep: '10m' }).keepMs, 600_000);
  assert.is(parseTmpfsOptions({ keep: 'always' }).keepMs, Number.POSITIVE_INFINITY);
  assert.is(parseTmpfsOptions({ keep: 'never' }).keepMs, 0);
});

test('what is wrong is refused', () => {
  for (const options of [
    { size: 'big' },
    { size: '0' },
    { size: '101%' },
    { keep: '-1s' },
    { type: 'ext4' },
    { o: 'bind' },
    { nr_inodes: '1' },
  ]) {
    assert.throws(
      () => parseTmpfsOptions(options as unknown as Record<string, string>),
      /cleat-tmpfs/,
      JSON.stringify(options),
    );
  }
});

test.run();
