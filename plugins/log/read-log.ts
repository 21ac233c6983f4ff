/**
 * ReadLogs: the entries of one container's log as frames, oldest first, from the place that `--tail` and `--since` ask for, over
 * rotated and compressed files and past damage, and on to what is still being written when `follow` is set.
 */
import type { ReadConfig } from '../sdk/log-plugin.ts';
import { LogFrameBatch } from '../sdk/protocol/log-frame-encoder.ts';
import { gunzipChunks, openPlain } from './files/file-chunks.ts';
import { findSince, findTail, type StartPosition } from './files/find-start.ts';
import type { LogFile, LogFiles } from './files/log-files.ts';
import type { RecordScanner } from './files/record-scanner.ts';
import { compareTime, highHalf, lowHalf, toMillis } from './nano-time.ts';

export interface LogSource {
  readonly files: LogFiles;
  recordScanner(): RecordScanner;
}

/** What a follower has to know about a log that grows. */
export interface GrowingLog {
  /** True when no session writes to it any more. */
  readonly ended: boolean;
  /** Resolves at the next append, rotation or end, and when the signal aborts. */
  changed(signal: AbortSignal): Promise<void>;
}

export interface ReadHooks {
  /** Bytes that were no sound records. */
  onDamage(bytes: number): void;
}

const readBytes = 256 * 1024;
const replyBytes = 64 * 1024;

/** `find` is asked when the first entry is, and what it found is held until the reader is done. */
export async function* readLog(
  find: () => LogSource,
  config: ReadConfig,
  growing: GrowingLog | undefined,
  hooks: ReadHooks,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const source = find();
  const release = source.files.hold();
  try {
    yield* readHeld(source, config, growing, hooks, signal);
  } finally {
    release();
  }
}

async function* readHeld(
  source: LogSource,
  config: ReadConfig,
  growing: GrowingLog | undefined,
  hooks: ReadHooks,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const follow = config.follow ? growing : undefined;
  const { files } = source;
  // Noted before anything is awaited: what is written from now on is a follower's alone.
  const end = endOf(files);
  if (follow === undefined && (end === undefined || config.tail === 0)) return;
  const start = config.tail === 0 ? end : await findStart(source, config, end);
  const reply = new ReplyBuilder(source, config, hooks);
  let position: StartPosition | undefined = start;
  let file = position?.file ?? files.all[0];
  while (file !== undefined || follow !== undefined) {
    if (file === undefined) {
      // A live log that has no file yet.
      if (follow === undefined || follow.ended || signal.aborted) return;
      await follow.changed(signal);
      file = files.all[0];
      continue;
    }
    if (follow === undefined && end !== undefined && file.sequence > end.file.sequence) return;
    reply.begin(position?.file === file ? position.skip : 0);
    const from = position?.file === file ? position.offset : 0;
    const limit = follow === undefined && file === end?.file ? end.offset : Number.POSITIVE_INFINITY;
    yield* file.compressed
      ? compressedFile(file, from, limit, reply, signal)
      : plainFile(file, from, limit, reply, files, follow, signal);
    if (reply.done || signal.aborted) return;
    position = undefined;
    file = files.after(file.sequence);
    if (file === undefined) return;
  }
}

async function findStart(
  source: LogSource,
  config: ReadConfig,
  end: StartPosition | undefined,
): Promise<StartPosition | undefined> {
  const newScanner = (): RecordScanner => source.recordScanner();
  if (end === undefined) return undefined;
  if (config.tail !== undefined) return findTail(source.files, newScanner, config.tail, end);
  if (config.sinceNano === undefined) return undefined;
  const found = await findSince(source.files, newScanner, highHalf(config.sinceNano), lowHalf(config.sinceNano));
  return found ?? end;
}

function endOf(files: LogFiles): StartPosition | undefined {
  const file = files.newest;
  if (file === undefined) return undefined;
  return { file, offset: file.compressed ? Number.POSITIVE_INFINITY : sizeOf(file), skip: 0 };
}

function sizeOf(file: LogFile): number {
  const plain = openPlain(file);
  const size = plain?.size ?? 0;
  plain?.close();
  return size;
}

async function* compressedFile(
  file: LogFile,
  from: number,
  limit: number,
  reply: ReplyBuilder,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  if (from === Number.POSITIVE_INFINITY) return;
  let rest: Buffer = Buffer.alloc(0);
  let left = limit - from;
  for await (const chunk of gunzipChunks(file, from, () => reply.damaged(0))) {
    const taken = chunk.subarray(0, left);
    left -= taken.length;
    const buffer = rest.length === 0 ? taken : Buffer.concat([rest, taken]);
    const used = reply.scan(buffer, buffer.length, false);
    yield* reply.take(false);
    if (reply.done || signal.aborted) return;
    rest = buffer.subarray(used);
    if (left === 0) break;
  }
  reply.scan(rest, rest.length, true);
  yield* reply.take(true);
}

/** Reads to the limit or the file's end and, while it is the newest of a growing log, waits for more there. */
async function* plainFile(
  file: LogFile,
  from: number,
  limit: number,
  reply: ReplyBuilder,
  files: LogFiles,
  follow: GrowingLog | undefined,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const plain = openPlain(file);
  if (plain === undefined) return;
  let buffer = Buffer.allocUnsafe(readBytes);
  let offset = from;
  try {
    for (;;) {
      // Looked at before reading: what is written later is then seen in the next round.
      const last = follow === undefined || follow.ended || files.newest !== file;
      const read = Math.max(0, Math.min(plain.read(buffer, 0, offset), limit - offset));
      // Somebody has emptied the file, as truncate(1) does: it begins again.
      if (read === 0 && plain.size < offset) {
        offset = 0;
        continue;
      }
      const used = reply.scan(buffer, read, read < buffer.length && last);
      offset += used;
      const quiet = read < buffer.length;
      yield* reply.take(quiet);
      if (reply.done || signal.aborted) return;
      if (!quiet) {
        if (used === 0) buffer = Buffer.allocUnsafe(buffer.length * 2);
        await new Promise((resolve) => setImmediate(resolve));
      } else if (last) return;
      // Nothing is awaited between the look that found nothing and the wait; the client may take what was found in its own time.
      else if (used === 0) await waitForMore(follow, reply.untilMs, signal);
      if (reply.isPast()) return;
    }
  } finally {
    plain.close();
  }
}

/** With `--until` in the future a follower ends when that time has come. */
async function waitForMore(
  follow: GrowingLog | undefined,
  untilMs: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (follow === undefined) return;
  if (untilMs === undefined) return follow.changed(signal);
  const timer = AbortSignal.timeout(Math.max(1, Math.min(untilMs - Date.now(), 2 ** 31 - 1)));
  await follow.changed(AbortSignal.any([signal, timer]));
}

/** Filters records and gathers their frames into replies of a handy size. */
class ReplyBuilder {
  done = false;
  readonly untilMs: number | undefined;
  readonly #scanner: RecordScanner;
  readonly #hooks: ReadHooks;
  readonly #since: readonly [high: number, low: number] | undefined;
  readonly #until: readonly [high: number, low: number] | undefined;
  #skip = 0;
  readonly #batch = new LogFrameBatch(2 * replyBytes);
  #reported = 0;

  constructor(source: LogSource, config: ReadConfig, hooks: ReadHooks) {
    this.#scanner = source.recordScanner();
    this.#hooks = hooks;
    this.#since = halves(config.sinceNano);
    this.#until = halves(config.untilNano);
    this.untilMs = this.#until && toMillis(...this.#until);
  }

  begin(skip: number): void {
    this.#skip = skip;
  }

  isPast(): boolean {
    return this.untilMs !== undefined && Date.now() > this.untilMs;
  }

  /** Takes every complete record of the buffer; returns the bytes used up. */
  scan(buffer: Buffer, size: number, atEnd: boolean): number {
    const scanner = this.#scanner;
    scanner.reset(buffer, 0, size, atEnd);
    while (scanner.next()) {
      if (this.#skip > 0) {
        this.#skip--;
        continue;
      }
      if (this.#since !== undefined || this.#until !== undefined) {
        scanner.readTime();
        if (this.#since && compareTime(scanner.timeHigh, scanner.timeLow, ...this.#since) < 0) continue;
        if (this.#until && compareTime(scanner.timeHigh, scanner.timeLow, ...this.#until) > 0) {
          this.done = true;
          break;
        }
      }
      this.#reportDamage();
      scanner.addTo(this.#batch);
    }
    this.#reportDamage();
    return scanner.position;
  }

  #reportDamage(): void {
    const damage = this.#scanner.damagedBytes - this.#reported;
    if (damage > 0) this.damaged(damage);
  }

  /** The log goes on behind the damage, and the reader is told that something is missing there. */
  damaged(bytes: number): void {
    this.#reported += bytes;
    this.#hooks.onDamage(bytes);
    const text = Buffer.from(
      `cleat: ${bytes === 0 ? 'the rest of a compressed file' : `${bytes} bytes`} of this log are damaged and were skipped\n`,
    );
    const { timeHigh, timeLow } = this.#scanner;
    this.#batch.write('stderr', timeHigh, timeLow, text, 0, text.length, false);
  }

  /** What is worth sending; with `all`, whatever there is. */
  take(all: boolean): Buffer[] {
    const enough = this.#batch.length >= (all || this.done ? 1 : replyBytes);
    return enough ? [this.#batch.take()] : [];
  }
}

function halves(nanos: bigint | undefined): readonly [high: number, low: number] | undefined {
  return nanos === undefined ? undefined : [highHalf(nanos), lowHalf(nanos)];
}
