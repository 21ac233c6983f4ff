import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ReadConfig } from '../sdk/log-plugin.ts';
import { LogFrameDecoder } from '../sdk/protocol/log-frame-decoder.ts';
import { LogFrameBatch } from '../sdk/protocol/log-frame-encoder.ts';
import { LogFrameScanner } from '../sdk/protocol/log-frame-scanner.ts';
import { ContainerLog } from './container-log.ts';
import { logFilesAt } from './files/log-files.ts';
import { JsonFileWriter } from './json-file/writer.ts';
import { readLog } from './read-log.ts';

let folder: string;
let log: ContainerLog;

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'read-log-'));
  const files = logFilesAt({ kind: 'chain', path: join(folder, 'x-json.log') });
  const limits = { maxSizeBytes: 1_000_000, maxFiles: 5, compress: false };
  log = new ContainerLog({
    containerId: 'x',
    containerName: 'x',
    driver: 'cleat-json-file',
    writer: new JsonFileWriter(files, limits, '', fail),
    dropsPath: join(folder, 'drops'),
    makeRoom: () => false,
    onError: fail,
  });
  log.attach(test);
});

test.after.each(() => {
  log.close();
  rmSync(folder, { recursive: true });
});

function fail(error: unknown): void {
  throw error;
}

/** Lines with the numbers from `from` to below `to`. */
function write(from: number, to: number): void {
  const batch = new LogFrameBatch();
  for (let number = from; number < to; number++) {
    batch.add({ source: 'stdout', timeNano: BigInt(number), line: Buffer.from(String(number)), partial: false });
  }
  const frames = batch.take();
  const scanner = new LogFrameScanner();
  scanner.reset(frames, 0, frames.length);
  log.take(scanner);
}

class Reader {
  readonly numbers: number[] = [];
  readonly #chunks: AsyncGenerator<Buffer>;
  readonly #decoder = new LogFrameDecoder((frame) => void this.numbers.push(Number(frame.line)));

  constructor(config: Partial<ReadConfig>) {
    const hooks = { onDamage: () => assert.unreachable('damage') };
    this.#chunks = readLog(() => log, { follow: false, ...config }, log, hooks, new AbortController().signal);
  }

  /** False at the end. */
  async next(): Promise<boolean> {
    const { done, value } = await this.#chunks.next();
    if (value !== undefined) this.#decoder.push(value);
    return done !== true;
  }

  async rest(): Promise<number[]> {
    while (await this.next());
    return this.numbers;
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);

test('a follower that was slow to take what there was misses neither what came meanwhile nor the end', async () => {
  write(0, 10);
  const reader = new Reader({ follow: true });
  assert.ok(await reader.next());
  write(10, 20);
  log.detach(test);
  const late = new Promise<'waits for ever'>((resolve) => setTimeout(resolve, 5000, 'waits for ever'));
  assert.equal(await Promise.race([reader.rest(), late]), range(0, 20));
});

test('without follow, what is written while it reads is not read', async () => {
  write(0, 5000);
  const reader = new Reader({});
  assert.ok(await reader.next());
  // Over a rotation, too.
  for (let from = 5000; from < 20_000; from += 1000) write(from, from + 1000);
  assert.equal(await reader.rest(), range(0, 5000));
});

for (const follow of [false, true]) {
  test(`${follow ? 'a follower' : 'a reader'} gets as many of the last lines as it wants, and no others of before`, async () => {
    // The last of them are in no block of the index.
    for (let from = 0; from < 5000; from += 100) write(from, from + 100);
    const reader = new Reader({ tail: 7, follow });
    const first = reader.next();
    write(5000, 5010);
    assert.ok(await first);
    log.detach(test);
    assert.equal(await reader.rest(), range(4993, follow ? 5010 : 5000));
  });
}

test.run();
