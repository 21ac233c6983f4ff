/**
 * Cuts one output stream into log entries, as Docker's copier does: a line each without its newline; lines longer than 16 KiB
 * in pieces that share an id; what is left without newline at the end is one partial piece.
 */
import { randomBytes } from 'node:crypto';
import type { LogFrameBatch } from '../../plugins/sdk/protocol/log-frame-encoder.ts';
import type { OutputStream } from '../runtime/output.ts';
import { now } from '../timestamp.ts';

const maxLineBytes = 16 << 10;
const newline = 0x0a;

export class LineCutter {
  readonly #stream: OutputStream;
  /** What came after the last newline; shorter than maxLineBytes between two calls. */
  #rest: Buffer = Buffer.alloc(0);
  #partial: { readonly id: string; ordinal: number; readonly timeNano: bigint } | undefined;

  constructor(stream: OutputStream) {
    this.#stream = stream;
  }

  /** Adds every entry that is complete now to the batch. */
  cut(chunk: Buffer, batch: LogFrameBatch): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const timeNano = now();
    for (;;) {
      const end = bytes.indexOf(newline);
      if (end >= 0 && end <= maxLineBytes) {
        this.#add(bytes.subarray(0, end), true, timeNano, batch);
        bytes = bytes.subarray(end + 1);
      } else if (bytes.length > maxLineBytes) {
        this.#add(bytes.subarray(0, maxLineBytes), false, timeNano, batch);
        bytes = bytes.subarray(maxLineBytes);
      } else {
        break;
      }
    }
    // Read buffers are large and shared: keep only the rest.
    this.#rest = Buffer.from(bytes);
  }

  /** The stream is over. */
  end(batch: LogFrameBatch): void {
    if (this.#rest.length > 0) this.#add(this.#rest, false, now(), batch);
    this.#rest = Buffer.alloc(0);
  }

  #add(line: Buffer, complete: boolean, timeNano: bigint, batch: LogFrameBatch): void {
    if (complete && this.#partial === undefined) {
      batch.add({ source: this.#stream, timeNano, line, partial: false });
      return;
    }
    this.#partial ??= { id: randomBytes(32).toString('hex'), ordinal: 0, timeNano };
    const partial = this.#partial;
    partial.ordinal += 1;
    const partialLogMetadata = { last: complete, id: partial.id, ordinal: partial.ordinal };
    batch.add({ source: this.#stream, timeNano: partial.timeNano, line, partial: true, partialLogMetadata });
    if (complete) this.#partial = undefined;
  }
}
