/**
 * Pulls frames out of a buffer that stays where it is: for readers that look at a pipe's content before they take it out
 * (LogFrameDecoder is for those that are pushed chunks). Says exactly up to where the buffer has been used, and skips and
 * counts what is no frame.
 */
import { FRAME_HEADER_LENGTH, LogFrame, parseLogEntry } from './log-entry.ts';
import { MAX_FRAME_LENGTH } from './log-frame-decoder.ts';

/** What every frame of an engine begins with after its length: field 1, six bytes, "std". */
const SIGNATURE = Buffer.from('\n\x06std', 'latin1');

export class LogFrameScanner {
  /** The current frame; the next call of `next` overwrites it. */
  readonly frame = new LogFrame();
  /** Where the next frame starts; after `next` returned false, where the incomplete rest starts. */
  position = 0;
  /** Places where something that is no frame was skipped, and its bytes. */
  damages = 0;
  skippedBytes = 0;
  buffer: Buffer = Buffer.alloc(0);
  #end = 0;

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
    for (;;) {
      const start = this.position;
      const body = start + FRAME_HEADER_LENGTH;
      if (body > this.#end) return false;
      const length =
        ((buffer[start]! << 24) | (buffer[start + 1]! << 16) | (buffer[start + 2]! << 8) | buffer[start + 3]!) >>> 0;
      if (length > 0 && length <= MAX_FRAME_LENGTH) {
        const stop = body + length;
        if (stop > this.#end) {
          if (body === this.#end || startsEntry(buffer[body]!)) return false;
        } else if (parseLogEntry(this.frame, buffer, body, stop)) {
          this.frame.frameStart = start;
          this.frame.frameEnd = stop;
          this.position = stop;
          return true;
        }
      }
      if (!this.#resync()) return false;
    }
  }

  /** Gives up on an incomplete rest that never becomes a frame; goes to the next one inside it, or to the end. */
  skipRest(): void {
    if (this.position >= this.#end || this.#resync()) return;
    this.skippedBytes += this.#end - this.position;
    this.position = this.#end;
  }

  #resync(): boolean {
    const from = this.position;
    this.damages += 1;
    for (let search = from + 1 + FRAME_HEADER_LENGTH; ; ) {
      const mark = this.buffer.indexOf(SIGNATURE, search);
      if (mark === -1 || mark >= this.#end) break;
      const start = mark - FRAME_HEADER_LENGTH;
      const length = this.buffer.readUInt32BE(start);
      if (length >= SIGNATURE.length && length <= MAX_FRAME_LENGTH) {
        this.skippedBytes += start - from;
        this.position = start;
        return true;
      }
      search = mark + 1;
    }
    // The last bytes may be a length and the beginning of the signature.
    const keep = FRAME_HEADER_LENGTH + SIGNATURE.length - 1;
    this.position = Math.max(from + 1, this.#end - keep);
    this.skippedBytes += this.position - from;
    return false;
  }
}

/** Fields 1 to 3 with their wire types: what an entry can begin with. */
function startsEntry(tag: number): boolean {
  return tag === 0x0a || tag === 0x10 || tag === 0x1a;
}
