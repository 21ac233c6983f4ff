/**
 * Cuts a stream of chunks into frames, whatever the chunking, and goes on after damage: bytes that make no frame are skipped
 * up to the next that do, and counted.
 */
import { FRAME_HEADER_LENGTH, LogFrame, parseLogEntry } from './log-entry.ts';

/**
 * Engines cut lines at 16 KiB, so their frames stay below 17 KB. Room is left for other senders; a wrong length must not
 * make the decoder wait for megabytes.
 */
export const MAX_FRAME_LENGTH = 256 << 10;
/** How every frame of an engine begins after its length: field 1, 6 bytes, "std". */
const SIGNATURE = Buffer.from([0x0a, 0x06, 0x73, 0x74, 0x64]);
/** Bytes at the end of a searched area that may be the beginning of a frame. */
const SIGNATURE_TAIL = FRAME_HEADER_LENGTH + SIGNATURE.length - 1;

export type LogFrameCallback = (frame: LogFrame) => void;

export interface LogFrameDecoderOptions {
  readonly maxFrameLength?: number;
}

export class LogFrameDecoder {
  readonly #onFrame: LogFrameCallback;
  readonly #maxFrameLength: number;
  readonly #frame = new LogFrame();
  /** The beginning of a frame whose rest has not come: `#rest` holds `#restLength` bytes of it. */
  #rest = Buffer.alloc(32 << 10);
  #restLength = 0;
  /** Looking for the next frame after damage. */
  #lost = false;
  #frames = 0;
  #damages = 0;
  #skippedBytes = 0;

  /** The callback may throw; the decoder is of no use any more then. */
  constructor(onFrame: LogFrameCallback, options: LogFrameDecoderOptions = {}) {
    this.#onFrame = onFrame;
    this.#maxFrameLength = options.maxFrameLength ?? MAX_FRAME_LENGTH;
  }

  /** Good frames so far. */
  get frames(): number {
    return this.#frames;
  }

  /** How often the stream was out of step, and how many bytes were passed over for it. */
  get damages(): number {
    return this.#damages;
  }

  get skippedBytes(): number {
    return this.#skippedBytes;
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
    if (at < chunk.length) this.#keep(chunk, at, chunk.length);
  }

  /** Decodes all complete frames and returns where the rest begins. */
  #decode(buffer: Buffer, start: number, end: number): number {
    const frame = this.#frame;
    let at = start;
    for (;;) {
      if (this.#lost) {
        at = this.#findFrame(buffer, at, end);
        if (this.#lost) return at;
      }
      if (end - at < FRAME_HEADER_LENGTH) return at;
      const length = ((buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!) >>> 0;
      const body = at + FRAME_HEADER_LENGTH;
      if (length > this.#maxFrameLength || length === 0) {
        at = this.#lose(at);
        continue;
      }
      if (body + length > end) {
        // A byte that begins no entry shows a wrong length at once, without waiting for its end.
        if (body < end && !startsField(buffer[body]!)) {
          at = this.#lose(at);
          continue;
        }
        return at;
      }
      if (!parseLogEntry(frame, buffer, body, body + length)) {
        at = this.#lose(at);
        continue;
      }
      frame.frameStart = at;
      frame.frameEnd = at = body + length;
      this.#frames += 1;
      this.#onFrame(frame);
    }
  }

  /** Out of step at this byte: the search begins behind it. */
  #lose(at: number): number {
    this.#lost = true;
    this.#damages += 1;
    this.#skippedBytes += 1;
    return at + 1;
  }

  /** Leaves `#lost` cleared where a frame may begin; otherwise returns where to go on when more bytes have come. */
  #findFrame(buffer: Buffer, start: number, end: number): number {
    let from = start;
    for (;;) {
      const signature = buffer.subarray(0, end).indexOf(SIGNATURE, from + FRAME_HEADER_LENGTH);
      if (signature < 0) {
        const next = Math.max(start, end - SIGNATURE_TAIL);
        this.#skippedBytes += next - start;
        return next;
      }
      const at = signature - FRAME_HEADER_LENGTH;
      const length = buffer.readUInt32BE(at);
      if (length >= SIGNATURE.length && length <= this.#maxFrameLength) {
        this.#skippedBytes += at - start;
        this.#lost = false;
        return at;
      }
      from = at + 1;
    }
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
    if (take < missing && !this.#lost) return -1;
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
    const have = this.#restLength;
    if (this.#lost) return SIGNATURE_TAIL;
    // The first byte behind the length tells whether it is worth waiting for the rest.
    if (have <= FRAME_HEADER_LENGTH) return FRAME_HEADER_LENGTH + 1 - have;
    const length = this.#rest.readUInt32BE(0);
    return FRAME_HEADER_LENGTH + length - have;
  }

  #keep(chunk: Buffer, start: number, end: number): void {
    this.#restLength = 0;
    this.#append(chunk, start, end);
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

/** Fields 1 to 5 with their wire types: fields that later versions may add come behind these. */
function startsField(tag: number): boolean {
  return tag === 0x0a || tag === 0x10 || tag === 0x1a || tag === 0x20 || tag === 0x2a;
}
