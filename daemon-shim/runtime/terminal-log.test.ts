import * as assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { joinMissed, TerminalLog, terminalText } from './terminal-log.ts';

const test = suite('terminal log');
const line = (tag: string, text: string) => `2026-01-02T03:04:05.678901234+00:00 stdout ${tag} ${text}\n`;

test('lines and pieces', () => {
  const file = Buffer.from(line('F', 'one\r') + line('P', '$ ') + line('F', 'two  words') + line('F', ''));
  assert.equal(terminalText(file).toString(), 'one\r\n$ two  words\n\n');
  for (let cut = 0; cut < file.length; cut += 1)
    assert.ok('one\r\n$ two  words\n\n'.startsWith(terminalText(file.subarray(0, cut)).toString()));
});

test('goes on where an earlier one was, also in a new file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'terminal-log-'));
  const path = join(folder, 'terminal.log');
  writeFileSync(path, '');
  const first = new TerminalLog(folder);
  writeFileSync(path, line('F', 'seen') + line('F', 'missed'), { flag: 'a' });
  first.seen('seen\n'.length);
  first.close();
  const second = new TerminalLog(folder);
  assert.equal(second.missed().toString(), 'missed\n');
  second.seen('missed\n'.length);
  assert.equal(second.missed().toString(), '');
  writeFileSync(`${path}.new`, line('F', 'new'));
  renameSync(`${path}.new`, path);
  assert.equal(second.missed().toString(), 'new\n');
  second.close();
  rmSync(folder, { recursive: true });
});

test('what came over the socket is in it once', () => {
  const join = (missed: string, came: string) => joinMissed(Buffer.from(missed), Buffer.from(came)).toString();
  assert.equal(join('abc', ''), 'abc');
  assert.equal(join('abcdef', 'ef'), 'abcdef');
  assert.equal(join('abcdefgh', 'ef'), 'abcdef');
  assert.equal(join('', 'ef'), 'ef');
  // The file lags behind.
  assert.equal(join('abcdef', 'efgh'), 'abcdefgh');
  assert.equal(join('efaefe', 'efegh'), 'efaefegh');
  assert.equal(join('abc', 'xyz'), 'abcxyz');
});

test.run();
