import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginError } from '../sdk/errors.ts';
import { parseGoRegExp } from './go-regexp.ts';

const matches = (pattern: string, text: string): boolean => parseGoRegExp(pattern, 'env-regex', 'test').test(text);

test("Go's syntax, where it is not JavaScript's", () => {
  assert.ok(matches('(?i)^java_', 'JAVA_OPTS'));
  assert.ok(matches('^a(?i:B)c$', 'abc'));
  assert.ok(matches('^[[:upper:]_]+$', 'PATH_'));
  assert.not(matches('^[[:upper:]_]+$', 'Path'));
  assert.ok(matches('\\Acom\\.example\\z', 'com.example'));
  assert.ok(matches('\\Q[x]\\E', 'a[x]b'));
  assert.ok(matches('(?P<name>x)', 'x'));
  assert.ok(matches('\\pLé', 'éé'));
  assert.ok(matches('(?s)a.b', 'a\nb'));
});

test('what Go refuses is refused in words', () => {
  for (const pattern of ['(', '[a', '(?=x)', '\\1', 'a**', '(?<!x)y', 'x{1001}', '\\']) {
    assert.throws(
      () => matches(pattern, ''),
      (error: Error) => error instanceof PluginError && /env-regex=.* is no regular expression/.test(error.message),
    );
  }
});

test('time does not explode', () => {
  assert.not(matches('^(a+)+$', `${'a'.repeat(5000)}!`));
  assert.not(matches('(x+x+)+y', 'x'.repeat(5000)));
});

test.run();
