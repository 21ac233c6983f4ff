/**
 * Pulls frames out of a buffer that stays where it is: for readers that look at a pipe's content before they take it out
 * (LogFrameDecoder is for those that are pushed chunks). Says exactly up to where the buffer has been used, and skips and
 * counts what is no frame.
 */
import { FRAME_HEADER_LENGTH, LogFrame, parseLogEntry } from './log-entry.ts';

/**
 * Engines cut lines at 16 KiB, so their frames stay below 17 KB. Room is left for other senders; a wrong length must not
 * make a reader wait for megabytes.
 */
export const MAX_FRAME_LENGTH = 256 << 10;
/** What every frame of an engine begins with after its length: field 1, six bytes, "std". */
const SIGNATURE = Buffer.from('\n\x06std', 'latin1');

/** Bytes at the end of a searched area that may be the beginning of a frame. */
export const SEARCH_REST = FRAME_HEADER_LENGTH + SIGNATURE.length - 1;

export class LogFrameScanner {
  /** The current frame; the next call of `next` overwrites it. */
  readonly frame = new LogFrame();
  /** Where the next frame starts; after `next` returned false, where the incomplete rest starts. */
  position = 0;
  /** Places where something that is no frame was skipped, and its bytes. */
  damages = 0;
  skippedBytes = 0;
  buffer: Buffer = Buffer.alloc(0);
  readonly #maxFrameLength: number;
  #end = 0;
  /** Out of step: the next frame has to be searched for. */
  #lost = false;

  constructor(maxFrameLength: number = MAX_FRAME_LENGTH) {
    this.#maxFrameLength = maxFrameLength;
  }

  get lost(): boolean {
    return this.#lost;
  }

  reset(buffer: Buffer, start: number, end: number): void {
    this.buffer = buffer;
    this.position = start;
    this.#end = end;
  }

  /** Bytes that are left behind `position`. */
  get restBytes(): number {
    return this.#end - this.position;
  }

  /** Moves to the next frame; false when no complete one is left. */
  next(): boolean {
    const buffer = this.buffer;
    if (this.#lost && !this.#search(this.position)) return false;
    for (;;) {
      const start = this.position;
      const body = start + FRAME_HEADER_LENGTH;
      if (body > this.#end) return false;
      const length =
        ((buffer[start]! << 24) | (buffer[start + 1]! << 16) | (buffer[start + 2]! << 8) | buffer[start + 3]!) >>> 0;
      if (length > 0 && length <= this.#maxFrameLength) {
        const stop = body + length;
        if (stop > this.#end) {
          // A byte that begins no entry shows a wrong length at once, without waiting for its end.
          if (body === this.#end || startsEntry(buffer[body]!)) return false;
        } else if (parseLogEntry(this.frame, buffer, body, stop)) {
          this.frame.frameStart = start;
          this.frame.frameEnd = stop;
          this.position = stop;
          return true;
        }
      }
      this.damages += 1;
      if (!this.#search(start + 1)) return false;
    }
  }

  /** Gives up on an incomplete rest that never becomes a frame; goes to the next one inside it, or to the end. */
  skipRest(): void {
    if (this.position >= this.#end) return;
    if (!this.#lost) this.damages += 1;
    if (this.#search(this.position + 1)) return;
    this.skippedBytes += this.#end - this.position;
    this.position = this.#end;
    this.#lost = false;
  }

  /** Moves to the first place from here on where a frame may begin; without one, to the last bytes, and stays lost. */
  #search(first: number): boolean {
    const from = this.position;
    for (let search = first + FRAME_HEADER_LENGTH; ; ) {
      const mark = this.buffer.indexOf(SIGNATURE, search);
      if (mark === -1 || mark + SIGNATURE.length > this.#end) break;
      const start = mark - FRAME_HEADER_LENGTH;
      const length = this.buffer.readUInt32BE(start);
      if (length >= SIGNATURE.length && length <= this.#maxFrameLength) {
        this.skippedBytes += start - from;
        this.position = start;
        this.#lost = false;
        return true;
      }
      search = mark + 1;
    }
    // The last bytes may be a length and the beginning of the signature.
    this.position = Math.max(Math.min(first, this.#end), this.#end - SEARCH_REST);
    this.skippedBytes += this.position - from;
    this.#lost = true;
    return false;
  }
}

/** Fields 1 to 5 with their wire types: fields that later versions may add come behind these. */
export function startsEntry(tag: number): boolean {
  return tag === 0x0a || tag === 0x10 || tag === 0x1a || tag === 0x20 || tag === 0x2a;
}
