import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { NftError } from './error.ts';

test('one line: the words, and the place by its marks', () => {
  const error = new NftError(
    'Error: Could not process rule: File exists\ncreate table inet cleat\n                  ^^^^^\n',
  );
  assert.is(error.message, 'nft:1:19-23: Could not process rule: File exists: create table inet cleat');
  assert.equal([error.code, error.errno, error.line, error.firstColumn, error.lastColumn], ['EEXIST', 17, 1, 19, 23]);
});

test('several lines: the line of the file', () => {
  const error = new NftError(
    '/proc/self/fd/25:3:33-33: Error: syntax error, unexpected newline\nadd rule inet cleat c accept bla\n                                ^\n',
  );
  assert.is(error.message, 'nft:3:33-33: syntax error, unexpected newline: add rule inet cleat c accept bla');
  assert.equal([error.code, error.line, error.text], ['EINVAL', 3, 'add rule inet cleat c accept bla']);
});

test('an advice behind the reason does not hide the reason', () => {
  const error = new NftError(
    'Error: No such file or directory; did you mean chain ‘a’ in table inet ‘cleat’?\nadd rule inet cleat b accept\n                    ^\n',
  );
  assert.is(error.code, 'ENOENT');
});

test('what has no known form keeps every word', () => {
  assert.is(new NftError('netlink: Error: cache initialization failed: Operation not permitted\n').code, 'EPERM');
  assert.is(new NftError('something else\n').message, 'nft: something else');
  assert.is(new NftError('').message, 'nft: failed without a word');
  assert.equal([new NftError('').line, new NftError('').code], [0, 'EINVAL']);
});

test.run();
