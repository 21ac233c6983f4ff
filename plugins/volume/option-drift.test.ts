import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { maskOption } from './mask.ts';
import { describeDrift, keptOptions } from './option-drift.ts';

test('the same options in another order are the same', () => {
  assert.equal(describeDrift({ a: '1', b: '2' }, { b: '2', a: '1' }, maskOption), []);
});

test('each difference is named, secrets are not', () => {
  assert.equal(
    describeDrift({ size: '1g', uid: '3', password: 'a' }, { size: '2g', gid: '4', password: 'b' }, maskOption),
    [
      'gid was not given and is "4"',
      'password was "***" and is "***"',
      'size was "1g" and is "2g"',
      'uid was "3" and is not given',
    ],
  );
});

test('how a request is treated is no property of the volume', () => {
  assert.equal(describeDrift({ size: '1g' }, { size: '1g', 'on-change': 'update' }, maskOption), []);
  assert.equal(keptOptions({ 'on-change': 'update', size: '1' }), { size: '1' });
});

test.run();
