/**
 * Many LogEntry frames in one buffer, visited without copying and without an object for each: the hot path of a log driver.
 * `next` moves to the following frame and leaves its fields as offsets into the buffer. What is no frame is skipped up to the
 * next one that looks right, and counted. log-entry.ts is the codec for one entry as a value.
 */

/** Larger lengths are taken for damage. Engines send at most about 16.5 KB; 1 MB is what they accept in the other direction. */
export const maxFrameBytes = 1024 * 1024;
const headerBytes = 4;
/** What every frame of an engine starts with behind its length: field 1, six bytes, "stdout" or "stderr". */
const frameMark = Buffer.from('\n\x06std', 'latin1');

// Tags of LogEntry and of its PartialLogEntryMetadata: field number << 3 | wire type.
const SOURCE = 0x0a;
const TIME_NANO = 0x10;
const LINE = 0x1a;
const PARTIAL = 0x20;
const METADATA = 0x2a;
const META_LAST = 0x08;
const META_ID = 0x12;
const META_ORDINAL = 0x18;

export class FrameScanner {
  buffer: Buffer = Buffer.alloc(0);
  /** Where the next frame starts; after `next` returned false, where the incomplete rest starts. */
  position = 0;
  end = 0;

  // The current frame. Every pair of offsets is [start, end) in the buffer.
  frameStart = 0;
  frameEnd = 0;
  sourceStart = 0;
  sourceEnd = 0;
  /** Nanoseconds since 1970 as two unsigned halves. */
  timeHigh = 0;
  timeLow = 0;
  lineStart = 0;
  lineEnd = 0;
  partial = false;
  /** Whether the piece carried metadata; without it pieces cannot be told apart. */
  hasMetadata = false;
  last = false;
  idStart = 0;
  idEnd = 0;
  ordinal = 0;

  /** Places where something that is no frame was skipped, and its bytes. The owner may set both back to 0. */
  badFrames = 0;
  skippedBytes = 0;

  #cursor = 0;

  reset(buffer: Buffer, start: number, end: number): void {
    this.buffer = buffer;
    this.position = start;
    this.end = end;
  }

  get isStderr(): boolean {
    // "stdout" and "stderr" differ in their fourth byte first.
    return this.sourceEnd - this.sourceStart === 6 && this.buffer[this.sourceStart + 3] === 0x65;
  }

  /** Whether the entry ends a line: everything but a piece that has another one behind it. */
  get endsLine(): boolean {
    return !this.partial || this.last;
  }

  /** False when no complete frame is left. */
  next(): boolean {
    for (;;) {
      const start = this.position;
      if (start + headerBytes > this.end) return false;
      const { buffer } = this;
      const length =
        (buffer[start]! * 0x1000000 + (buffer[start + 1]! << 16)) | ((buffer[start + 2]! << 8) | buffer[start + 3]!);
      if (length > 0 && length <= maxFrameBytes) {
        const bodyEnd = start + headerBytes + length;
        if (bodyEnd > this.end) {
          if (this.#plausible(start)) return false;
        } else if (this.#decode(start + headerBytes, bodyEnd)) {
          this.frameStart = start;
          this.frameEnd = bodyEnd;
          this.position = bodyEnd;
          return true;
        }
      }
      if (!this.#resync(start)) return false;
    }
  }

  /** Gives up on the incomplete rest: skips to the next frame inside it. Returns the bytes skipped. */
  skipRest(): number {
    const before = this.position;
    if (before < this.end && this.#resync(before)) return this.position - before;
    const left = this.end - this.position;
    if (left > 0) {
      this.skippedBytes += left;
      this.position = this.end;
    }
    return this.end - before;
  }

  /** An incomplete frame can be right only if what is there of it looks like one. */
  #plausible(start: number): boolean {
    const at = start + headerBytes;
    if (at >= this.end) return true;
    const tag = this.buffer[at]!;
    if (tag !== SOURCE) return tag === TIME_NANO || tag === LINE;
    return at + 1 >= this.end || this.buffer[at + 1]! < 128;
  }

  #resync(from: number): boolean {
    this.badFrames++;
    let search = from + headerBytes + 1;
    for (;;) {
      const mark = this.buffer.indexOf(frameMark, search);
      if (mark === -1 || mark >= this.end) break;
      const start = mark - headerBytes;
      // The two high bytes of a frame's length are 0 up to 64 KiB, which keeps text that contains the mark from matching.
      if (start > from && this.buffer[start] === 0 && this.buffer[start + 1] === 0) {
        this.skippedBytes += start - from;
        this.position = start;
        return true;
      }
      search = mark + 1;
    }
    // Keep what may be the beginning of a frame: a length and an incomplete mark.
    const keep = Math.max(from + 1, this.end - headerBytes - frameMark.length + 1);
    const position = Math.min(keep, this.end);
    this.skippedBytes += position - from;
    this.position = position;
    return false;
  }

  #decode(start: number, end: number): boolean {
    const { buffer } = this;
    this.sourceStart = this.sourceEnd = start;
    this.timeHigh = this.timeLow = 0;
    this.lineStart = this.lineEnd = start;
    this.partial = this.hasMetadata = this.last = false;
    this.idStart = this.idEnd = start;
    this.ordinal = 0;
    let at = start;
    while (at < end) {
      const tag = buffer[at++]!;
      if (tag === SOURCE || tag === LINE || tag === METADATA) {
        let length = buffer[at++]!;
        if (length > 127) {
          this.#cursor = at - 1;
          length = this.#varint(end);
          at = this.#cursor;
        }
        const until = at + length;
        if (length < 0 || until > end) return false;
        if (tag === LINE) {
          this.lineStart = at;
          this.lineEnd = until;
        } else if (tag === SOURCE) {
          this.sourceStart = at;
          this.sourceEnd = until;
        } else if (!this.#decodeMetadata(at, until)) return false;
        at = until;
      } else if (tag === TIME_NANO) {
        at = this.#time(at, end);
        if (at < 0) return false;
      } else if (tag === PARTIAL) {
        this.partial = buffer[at++] === 1;
      } else {
        at = this.#skipField(tag, at, end);
        if (at < 0) return false;
      }
    }
    return at === end;
  }

  /** A 64-bit varint into two halves; returns the offset behind it, or -1. */
  #time(from: number, end: number): number {
    const { buffer } = this;
    let low = 0;
    let high = 0;
    let at = from;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) return -1;
      const byte = buffer[at++]!;
      const bits = byte & 127;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >> 4;
      } else high |= bits << (shift - 32);
      if (byte < 128) {
        this.timeLow = low >>> 0;
        this.timeHigh = high >>> 0;
        return at;
      }
    }
    return -1;
  }

  #decodeMetadata(start: number, end: number): boolean {
    const { buffer } = this;
    this.hasMetadata = true;
    let at = start;
    while (at < end) {
      const tag = buffer[at++]!;
      this.#cursor = at;
      if (tag === META_LAST) this.last = this.#varint(end) === 1;
      else if (tag === META_ORDINAL) this.ordinal = this.#varint(end);
      else if (tag === META_ID) {
        const length = this.#varint(end);
        if (length < 0 || this.#cursor + length > end) return false;
        this.idStart = this.#cursor;
        this.idEnd = this.#cursor = this.#cursor + length;
      } else {
        at = this.#skipField(tag, at, end);
        if (at < 0) return false;
        continue;
      }
      at = this.#cursor;
      if (at < 0) return false;
    }
    return true;
  }

  /** A varint of up to 32 bits at #cursor; -1 when it is cut or too long, and then #cursor is -1 too. */
  #varint(end: number): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.#cursor >= end) break;
      const byte = this.buffer[this.#cursor++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    this.#cursor = -1;
    return -1;
  }

  /** Steps over an unknown field; proto3 wire types 0, 1, 2 and 5. */
  #skipField(tag: number, from: number, end: number): number {
    const wireType = tag & 7;
    if (tag < 8) return -1;
    if (tag > 127) return -1;
    this.#cursor = from;
    if (wireType === 0) return this.#skipVarint(end);
    if (wireType === 1) return from + 8 <= end ? from + 8 : -1;
    if (wireType === 5) return from + 4 <= end ? from + 4 : -1;
    if (wireType !== 2) return -1;
    const length = this.#varint(end);
    return length >= 0 && this.#cursor + length <= end ? this.#cursor + length : -1;
  }

  #skipVarint(end: number): number {
    for (let read = 0; read < 10; read++) {
      if (this.#cursor >= end) return -1;
      if (this.buffer[this.#cursor++]! < 128) return this.#cursor;
    }
    return -1;
  }
}

/** Bytes that `writeFrame` needs at most for a line of this size. */
export function frameBytesFor(lineBytes: number): number {
  return lineBytes + 48;
}

const stdoutField = Buffer.from('\n\x06stdout\x10', 'latin1');
const stderrField = Buffer.from('\n\x06stderr\x10', 'latin1');

/**
 * Writes one frame, as ReadLogs sends it, into `out` at `at`: the line's bytes, with a newline when `newline` is set.
 * Returns the offset behind it. The caller has left room (frameBytesFor).
 */
export function writeFrame(
  out: Buffer,
  at: number,
  entry: { readonly stderr: boolean; readonly timeHigh: number; readonly timeLow: number },
  line: Buffer,
  lineStart: number,
  lineEnd: number,
  newline: boolean,
): number {
  const source = entry.stderr ? stderrField : stdoutField;
  let cursor = at + headerBytes;
  for (let index = 0; index < source.length; index++) out[cursor++] = source[index]!;
  cursor = writeTime(out, cursor, entry.timeHigh, entry.timeLow);
  const lineBytes = lineEnd - lineStart;
  const bytes = lineBytes + (newline ? 1 : 0);
  if (bytes > 0) {
    out[cursor++] = LINE;
    let rest = bytes;
    while (rest > 127) {
      out[cursor++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    out[cursor++] = rest;
    if (lineBytes > 64) {
      line.copy(out, cursor, lineStart, lineEnd);
      cursor += lineBytes;
    } else for (let index = lineStart; index < lineEnd; index++) out[cursor++] = line[index]!;
    if (newline) out[cursor++] = 0x0a;
  }
  const length = cursor - at - headerBytes;
  out[at] = length >>> 24;
  out[at + 1] = length >>> 16;
  out[at + 2] = length >>> 8;
  out[at + 3] = length;
  return cursor;
}

/** A 64-bit varint of two halves. */
function writeTime(out: Buffer, at: number, high: number, low: number): number {
  let cursor = at;
  let lowBits = low;
  let highBits = high;
  while (highBits > 0 || lowBits > 127) {
    out[cursor++] = (lowBits & 127) | 128;
    lowBits = ((lowBits >>> 7) | (highBits << 25)) >>> 0;
    highBits >>>= 7;
  }
  out[cursor++] = lowBits;
  return cursor;
}
