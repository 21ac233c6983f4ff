/** Lines that could not be kept: counted by reason, and told in the log itself as soon as it takes lines again. */
import { LogFrameBatch } from '../sdk/protocol/log-frame-encoder.ts';
import { LogFrameScanner } from '../sdk/protocol/log-frame-scanner.ts';

export interface DropCount {
  lines: number;
  bytes: number;
}

export class Drops {
  /** Since the process started. */
  readonly total: DropCount = { lines: 0, bytes: 0 };
  #pending: DropCount | undefined;
  #reason = '';

  add(lines: number, bytes: number, reason: string): void {
    if (lines === 0) return;
    this.#pending ??= { lines: 0, bytes: 0 };
    this.#reason = reason;
    for (const count of [this.total, this.#pending]) {
      count.lines += lines;
      count.bytes += bytes;
    }
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
  }
}

export function dropText(lines: number, bytes: number, reason: string): string {
  return `cleat: ${lines} ${lines === 1 ? 'line' : 'lines'} (${bytes} bytes) dropped here: ${reason}`;
}
