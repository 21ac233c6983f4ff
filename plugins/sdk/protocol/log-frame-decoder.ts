/**
 * Cuts a stream of chunks into frames, whatever the chunking, and goes on after damage: bytes that make no frame are skipped
 * up to the next that do, and counted. Nothing is copied but a frame that spans two chunks.
 */
import { FRAME_HEADER_LENGTH, type LogFrame } from './log-entry.ts';
import { LogFrameScanner, MAX_FRAME_LENGTH, SEARCH_REST } from './log-frame-scanner.ts';

export type LogFrameCallback = (frame: LogFrame) => void;

export interface LogFrameDecoderOptions {
  readonly maxFrameLength?: number;
}

export class LogFrameDecoder {
  readonly #onFrame: LogFrameCallback;
  readonly #maxFrameLength: number;
  readonly #scanner: LogFrameScanner;
  /** The beginning of a frame whose rest has not come: `#rest` holds `#restLength` bytes of it. */
  #rest = Buffer.alloc(32 << 10);
  #restLength = 0;
  #frames = 0;

  /** The callback may throw; the decoder is of no use any more then. */
  constructor(onFrame: LogFrameCallback, options: LogFrameDecoderOptions = {}) {
    this.#onFrame = onFrame;
    this.#maxFrameLength = options.maxFrameLength ?? MAX_FRAME_LENGTH;
    this.#scanner = new LogFrameScanner(this.#maxFrameLength);
  }

  /** Good frames so far. */
  get frames(): number {
    return this.#frames;
  }

  /** How often the stream was out of step, and how many bytes were passed over for it. */
  get damages(): number {
    return this.#scanner.damages;
  }

  get skippedBytes(): number {
    return this.#scanner.skippedBytes;
  }

  /** Bytes of an unfinished frame. After the end of the stream, more than 0 means that it was cut. */
  get pendingBytes(): number {
    return this.#restLength;
  }

  /** Calls back for each frame that is complete. The chunk may be reused as soon as this returns. */
  push(chunk: Buffer): void {
    let at = 0;
    while (this.#restLength > 0) {
      const taken = this.#completeRest(chunk, at);
      if (taken < 0) return;
      at = taken;
    }
    at = this.#decode(chunk, at, chunk.length);
    if (at < chunk.length) this.#append(chunk, at, chunk.length);
  }

  /** Hands out all complete frames and returns where the rest begins. */
  #decode(buffer: Buffer, start: number, end: number): number {
    const scanner = this.#scanner;
    scanner.reset(buffer, start, end);
    while (scanner.next()) {
      this.#frames += 1;
      this.#onFrame(scanner.frame);
    }
    return scanner.position;
  }

  /**
   * Adds bytes of the chunk to the unfinished frame, no more than it needs. Returns where the chunk goes on, or -1 when the
   * chunk is used up.
   */
  #completeRest(chunk: Buffer, at: number): number {
    const missing = this.#missing();
    const take = Math.min(missing, chunk.length - at);
    if (take === 0) return -1;
    this.#append(chunk, at, at + take);
    if (take < missing && !this.#scanner.lost) return -1;
    const used = this.#decode(this.#rest, 0, this.#restLength);
    const left = this.#restLength - used;
    if (left <= take) {
      // What is left came from this chunk: go on there, where nothing needs copying.
      this.#restLength = 0;
      return at + take - left;
    }
    this.#rest.copyWithin(0, used, this.#restLength);
    this.#restLength = left;
    return at + take;
  }

  /** How many more bytes decide about the bytes that are kept. */
  #missing(): number {
    if (this.#scanner.lost) return SEARCH_REST;
    const have = this.#restLength;
    // The first byte behind the length tells whether it is worth waiting for the rest.
    if (have <= FRAME_HEADER_LENGTH) return FRAME_HEADER_LENGTH + 1 - have;
    return FRAME_HEADER_LENGTH + this.#rest.readUInt32BE(0) - have;
  }

  #append(chunk: Buffer, start: number, end: number): void {
    const length = this.#restLength + end - start;
    if (length > this.#rest.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#rest.length));
      this.#rest.copy(larger, 0, 0, this.#restLength);
      this.#rest = larger;
    }
    chunk.copy(this.#rest, this.#restLength, start, end);
    this.#restLength = length;
  }
}
