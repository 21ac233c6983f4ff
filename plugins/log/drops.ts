/**
 * Lines that could not be kept: counted, and told in the log itself as soon as it takes lines again. The count is on disk before the
 * lines leave the pipe, so a process that is killed in between does not forget them.
 */
import { LogFrameBatch } from '../sdk/protocol/log-frame-encoder.ts';
import { LogFrameScanner } from '../sdk/protocol/log-frame-scanner.ts';
import { FixedRecord } from './files/fixed-record.ts';

export interface DropCount {
  lines: number;
  bytes: number;
}

const recordBytes = 256;
/** Lines and bytes that the log does not tell yet, all of this container, and the reason. */
const pattern = /^(\d+) (\d+) (\d+) (\d+) ?(.*)$/s;

export class Drops {
  /** Of the container, over restarts. */
  readonly total: DropCount;
  readonly #record: FixedRecord;
  #pending: DropCount | undefined;
  #reason = '';

  /** The file is made at once: when it is needed, the disk may have no room for it. */
  constructor(path: string) {
    this.#record = new FixedRecord(path, recordBytes);
    const [, lines, bytes, allLines, allBytes, reason = ''] = pattern.exec(this.#record.read() ?? '') ?? [];
    this.total = { lines: Number(allLines ?? 0), bytes: Number(allBytes ?? 0) };
    this.#reason = reason;
    if (Number(lines ?? 0) > 0) this.#pending = { lines: Number(lines), bytes: Number(bytes) };
    this.#write();
  }

  add(lines: number, bytes: number, reason: string): void {
    if (lines === 0) return;
    this.#pending ??= { lines: 0, bytes: 0 };
    this.#reason = reason;
    for (const count of [this.total, this.#pending]) {
      count.lines += lines;
      count.bytes += bytes;
    }
    this.#write();
  }

  /** Whether something was dropped that the log does not tell yet. */
  get pending(): boolean {
    return this.#pending !== undefined;
  }

  /** A scanner on one frame that tells what is missing at this place; `told` ends the matter. */
  record(): LogFrameScanner {
    const { lines, bytes } = this.#pending ?? { lines: 0, bytes: 0 };
    const text = Buffer.from(dropText(lines, bytes, this.#reason));
    const batch = new LogFrameBatch(text.length + 128);
    batch.add({ source: 'stderr', timeNano: BigInt(Date.now()) * 1_000_000n, line: text, partial: false });
    const frame = batch.take();
    const scanner = new LogFrameScanner();
    scanner.reset(frame, 0, frame.length);
    return scanner;
  }

  told(): void {
    this.#pending = undefined;
    this.#write();
  }

  #write(): void {
    const { lines, bytes } = this.#pending ?? { lines: 0, bytes: 0 };
    this.#record.write(
      `${lines} ${bytes} ${this.total.lines} ${this.total.bytes} ${this.#pending ? this.#reason : ''}`.trimEnd(),
    );
  }
}

export function dropText(lines: number, bytes: number, reason: string): string {
  return `cleat: ${lines} ${lines === 1 ? 'line' : 'lines'} (${bytes} bytes) dropped here: ${reason}`;
}
