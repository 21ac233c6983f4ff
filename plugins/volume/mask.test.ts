import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { maskMountOptions, maskOptions, maskText } from './mask.ts';

test('secret values of mount options are hidden, names and the rest are not', () => {
  assert.is(maskMountOptions('username=me,password=hunter2,uid=3'), 'username=me,password=***,uid=3');
  assert.is(maskMountOptions('pass="a,b",ro'), 'pass=***,ro');
  assert.is(maskMountOptions('Password2=x'), 'Password2=***');
  assert.is(maskMountOptions('rw,noatime'), 'rw,noatime');
});

test('options of a volume', () => {
  assert.equal(
    maskOptions({
      o: 'username=a,password=b',
      password: 'x',
      size: '1g',
      device: '//me:secret@host/share',
      credentials: '/etc/c',
    }),
    {
      o: 'username=a,password=***',
      password: '***',
      size: '1g',
      device: '//me:***@host/share',
      credentials: '/etc/c',
    },
  );
});

test('secrets are taken out of any text', () => {
  assert.is(maskText('mount failed with hunter2', ['hunter2', '']), 'mount failed with ***');
});

test.run();
