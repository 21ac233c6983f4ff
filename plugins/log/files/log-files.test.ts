import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ActiveFile } from './active-file.ts';
import { compressLater } from './compress.ts';
import { fileChunks } from './file-chunks.ts';
import { type LogFile, LogFiles, logFilesAt, type Naming } from './log-files.ts';

let folder: string;
let naming: Naming;

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'log-files-'));
  naming = { kind: 'chain', path: join(folder, 'x-json.log') };
});

test.after.each(() => rmSync(folder, { recursive: true }));

function fail(error: unknown): void {
  throw error;
}

function growing(files: LogFiles, compress: boolean): ActiveFile {
  return new ActiveFile({
    files,
    limits: { maxSizeBytes: 1, maxFiles: 100, compress },
    survey: (_fd, _from, size) => ({ end: size, records: 0, latestHigh: 0, latestLow: 0 }),
    onError: fail,
  });
}

function append(active: ActiveFile, text: string): void {
  active.append(Buffer.from(text), 0, text.length, { records: 1, latestHigh: 0, latestLow: 0 });
}

const content = (file: LogFile): string =>
  (file.compressed ? gunzipSync(readFileSync(file.path)) : readFileSync(file.path)).toString();

async function chunksOf(file: LogFile): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of fileChunks(file, 0, fail)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('a chain that is renamed while its files are compressed keeps each file once', async () => {
  const files = new LogFiles(naming);
  const active = growing(files, true);
  const texts = Array.from({ length: 20 }, (_, number) => `file ${number}`);
  for (const [number, text] of texts.entries()) {
    append(active, text);
    active.rotate();
    // Gives the compression some steps, another number each time, and then takes the names away from it.
    for (let step = 0; step < number % 5; step++) await Promise.resolve();
    if (number % 3 === 0) await new Promise(setImmediate);
  }
  active.close();
  for (const file of files.all.slice(0, -1)) await compressLater(files, file, fail);
  assert.equal(files.all.slice(0, -1).map(content), texts);
  assert.equal(new LogFiles(naming).all.slice(0, -1).map(content), texts);
});

test('a log that is closed and opened again while its files are compressed is one log', async () => {
  const before = logFilesAt(naming);
  const active = growing(before, false);
  append(active, 'one');
  active.rotate();
  const [first] = before.all;
  assert.ok(first);
  const compressing = compressLater(before, first, fail);
  active.close();
  const again = growing(logFilesAt(naming), false);
  append(again, 'two');
  again.rotate();
  append(again, 'three');
  again.close();
  await compressing;
  assert.equal(again.files.all.map(content), ['one', 'two', 'three']);
  assert.equal(new LogFiles(naming).all.map(content), ['one', 'two', 'three']);
});

test('files are shared while somebody holds them', () => {
  const files = logFilesAt(naming);
  assert.is.not(logFilesAt(naming), files);
  const releases = [files.hold(), files.hold()];
  assert.is(logFilesAt(naming), files);
  releases[0]?.();
  releases[0]?.();
  assert.is(logFilesAt(naming), files);
  releases[1]?.();
  assert.is.not(logFilesAt(naming), files);
});

test('a reader gets the file that it means, whatever is renamed or removed meanwhile', async () => {
  const files = new LogFiles(naming);
  const active = growing(files, false);
  for (const text of ['one', 'two', 'three']) {
    append(active, text);
    active.rotate();
  }
  const [first, second] = files.all;
  assert.ok(first && second);
  await compressLater(files, second, fail);
  const reading = chunksOf(second);
  active.rotate();
  assert.is(await reading, 'two', 'renamed after it was asked for');
  const path = first.path;
  files.removeOldest();
  active.rotate();
  assert.is(second.path, `${path}.gz`, 'its name went to the next');
  assert.is(await chunksOf(first), '', 'a removed file is not looked for by its old name');
  active.close();
});

test.run();
