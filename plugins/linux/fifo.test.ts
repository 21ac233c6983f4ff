import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isKernelError } from './errors.ts';
import { FifoReader } from './fifo.ts';

const folder = mkdtempSync(join(tmpdir(), 'cleat-fifo-'));
test.after(() => rmSync(folder, { recursive: true }));

let made = 0;
function fifo(): { readonly path: string; readonly writer: number } {
  const path = join(folder, String(++made));
  execFileSync('mkfifo', [path]);
  return { path, writer: openSync(path, constants.O_RDWR | constants.O_NONBLOCK) };
}

function text(reader: FifoReader): string {
  const peeked = reader.peek(1 << 20);
  return peeked.kind === 'data' ? peeked.data.toString() : `(${peeked.kind})`;
}

test('what is peeked stays until it is consumed, also for the next reader', () => {
  const { path, writer } = fifo();
  const first = new FifoReader(path, () => {});
  assert.is(text(first), '(empty)');
  writeSync(writer, 'abcdef');
  assert.is(text(first), 'abcdef');
  assert.is(text(first), 'abcdef');
  first.consume(2);
  first.close();
  const second = new FifoReader(path, () => {});
  assert.is(text(second), 'cdef');
  second.consume(4);
  assert.is(text(second), '(empty)');
  closeSync(writer);
  assert.is(text(second), '(ended)');
  second.close();
  second.close();
});

test('more than one pipe buffer, in parts', () => {
  const { path, writer } = fifo();
  const reader = new FifoReader(path, () => {});
  const data = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251));
  let written = 0;
  const seen: Buffer[] = [];
  while (seen.reduce((sum, part) => sum + part.length, 0) < data.length) {
    try {
      written += writeSync(writer, data, written, Math.min(30_000, data.length - written));
    } catch (error) {
      assert.is((error as NodeJS.ErrnoException).code, 'EAGAIN');
    }
    const peeked = reader.peek(7777);
    if (peeked.kind !== 'data') continue;
    assert.ok(peeked.data.length <= 7777);
    seen.push(Buffer.from(peeked.data));
    reader.consume(peeked.data.length);
  }
  assert.ok(Buffer.concat(seen).equals(data));
  reader.close();
  closeSync(writer);
});

test('the event loop tells when there is something, not while paused', async () => {
  const { path, writer } = fifo();
  const { promise, resolve } = Promise.withResolvers<void>();
  let calls = 0;
  const reader = new FifoReader(path, () => {
    calls++;
    resolve();
  });
  reader.pause();
  writeSync(writer, 'x');
  for (let turn = 0; turn < 20; turn++) await new Promise((next) => setImmediate(next));
  assert.is(calls, 0);
  reader.resume();
  await promise;
  reader.close();
  closeSync(writer);
});

test('what is no FIFO is refused', () => {
  const path = join(folder, 'plain');
  writeFileSync(path, '');
  assert.throws(
    () => new FifoReader(path, () => {}),
    (error: unknown) => isKernelError(error, 'EOPNOTSUPP'),
  );
  assert.throws(() => new FifoReader(join(folder, 'none'), () => {}), /ENOENT/);
});

test.run();
