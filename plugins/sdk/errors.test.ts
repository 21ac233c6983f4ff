import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { errorLine, PluginError } from './errors.ts';

test('the line has message, hint and code', () => {
  const cause = new Error('EBUSY');
  const error = new PluginError('PROTO_OPTION', 'eth9 does not exist', { hint: 'create it', cause });
  assert.is(error.line, 'eth9 does not exist; create it [PROTO_OPTION]');
  assert.is(error.cause, cause);
  assert.is(new PluginError('PROTO_METHOD', 'no').line, 'no [PROTO_METHOD]');
});

test('it is one line that any terminal can show, whatever was given', () => {
  const hostile = `a\n  b\x1b[31m\0${'x'.repeat(100_000)}`;
  const { line } = new PluginError('PROTO_BODY', hostile, { hint: hostile });
  assert.match(line, /^a b\ufffd\[31m\ufffdx/);
  assert.match(line, /x… \[PROTO_BODY\]$/);
  assert.ok(line.length < 5100);
  assert.not.match(line, /\p{Cc}/u);
});

test('what is no PluginError is an internal error', () => {
  assert.is(errorLine(new TypeError('x\ny')), 'internal error: x y [PROTO_INTERNAL]');
  assert.is(errorLine(undefined), 'internal error: undefined [PROTO_INTERNAL]');
});

test.run();
