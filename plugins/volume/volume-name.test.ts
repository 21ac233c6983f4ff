import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isAnonymousName, isVolumeName, parseVolumeName } from './volume-name.ts';

test('names that the engine allows for its own volumes', () => {
  for (const name of ['ab', 'my-volume_1.2', 'A0', '0a', 'x'.repeat(255), 'a..'])
    assert.is(parseVolumeName(name), name);
});

test('everything else is refused before it is a path', () => {
  const bad = [
    '',
    'a',
    '.a',
    '-a',
    '_a',
    '..',
    '../x',
    'a/b',
    '/a',
    'a\0b',
    'a b',
    'a\n',
    'é1',
    'x'.repeat(256),
    'a\\b',
    'a%2fb',
  ];
  for (const name of bad) {
    assert.not(isVolumeName(name), JSON.stringify(name));
    assert.throws(() => parseVolumeName(name), /volume name/);
  }
});

test('a long name is not repeated in full', () => {
  assert.throws(
    () => parseVolumeName('x'.repeat(5000)),
    (error: Error) => error.message.length < 200 && error.message.includes('5000'),
  );
});

test('anonymous volumes have 64 hexadecimal digits', () => {
  assert.ok(isAnonymousName('0123456789abcdef'.repeat(4)));
  assert.not(isAnonymousName('0123456789abcdef'));
});

test.run();
