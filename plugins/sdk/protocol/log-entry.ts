/**
 * LogEntry: what travels on the FIFO from the engine and back in ReadLogs. A frame is a 4-byte big-endian length and that
 * many bytes of protobuf (proto3, zero values omitted):
 *
 *     1 source                 string      stdout or stderr
 *     2 time_nano              int64       nanoseconds since 1970
 *     3 line                   bytes       without newline on the FIFO
 *     4 partial                bool
 *     5 partial_log_metadata   message     { 1 last: bool, 2 id: string, 3 ordinal: int32 }
 *
 * This is the hot path of every log driver. The decoder hands out one LogFrame again and again, whose fields are offsets into
 * the chunk that was pushed: nothing is copied or allocated for a frame, apart from one that spans two chunks. What must
 * outlive the callback is copied by the callback, `toLogEntry()` being the comfortable way.
 */
import type { LogEntry, PartialLogMetadata } from '../log-plugin.ts';

/** Tags: field number and wire type (protobuf encoding: 0 varint, 1 fixed64, 2 length-delimited, 5 fixed32). */
const TAG_SOURCE = 0x0a;
const TAG_TIME = 0x10;
const TAG_LINE = 0x1a;
const TAG_PARTIAL = 0x20;
const TAG_METADATA = 0x2a;
const TAG_LAST = 0x08;
const TAG_ID = 0x12;
const TAG_ORDINAL = 0x18;

export const FRAME_HEADER_LENGTH = 4;
const MALFORMED = -1;

/** One decoded frame. Valid only until the callback returns; `buffer` belongs to whoever pushed the chunk. */
export class LogFrame {
  buffer: Buffer = Buffer.alloc(0);
  /** The whole frame with its length, to be passed on as it is. */
  frameStart = 0;
  frameEnd = 0;
  sourceStart = 0;
  sourceEnd = 0;
  lineStart = 0;
  lineEnd = 0;
  /** Nanoseconds since 1970 in two unsigned halves: BigInt costs an allocation. */
  timeHigh = 0;
  timeLow = 0;
  partial = false;
  hasMetadata = false;
  last = false;
  ordinal = 0;
  idStart = 0;
  idEnd = 0;

  /** Whether the source is stderr; anything else counts as stdout. */
  get isStderr(): boolean {
    // "stderr" and "stdout" differ in their fourth byte: e or o.
    return this.sourceEnd - this.sourceStart === 6 && this.buffer[this.sourceStart + 3] === 0x65;
  }

  get source(): string {
    const length = this.sourceEnd - this.sourceStart;
    if (length === 6) {
      const fourth = this.buffer[this.sourceStart + 3];
      const text = fourth === 0x6f ? 'stdout' : 'stderr';
      // Comparing bytes is cheaper than making a string of them.
      if (this.buffer[this.sourceStart] === 0x73 && (fourth === 0x6f || fourth === 0x65)) return text;
    }
    return this.buffer.toString('utf8', this.sourceStart, this.sourceEnd);
  }

  get timeNano(): bigint {
    return BigInt.asIntN(64, (BigInt(this.timeHigh) << 32n) | BigInt(this.timeLow));
  }

  /** A view, not a copy. */
  get line(): Buffer {
    return this.buffer.subarray(this.lineStart, this.lineEnd);
  }

  /** `""` when there is none. All pieces of one line share it. */
  get partialId(): string {
    return this.buffer.toString('latin1', this.idStart, this.idEnd);
  }

  /** A copy that may be kept. */
  toLogEntry(): LogEntry {
    const entry = {
      source: this.source,
      timeNano: this.timeNano,
      line: Buffer.from(this.line),
      partial: this.partial,
    };
    if (!this.hasMetadata) return entry;
    const id = this.buffer.toString('utf8', this.idStart, this.idEnd);
    const partialLogMetadata: PartialLogMetadata = { last: this.last, id, ordinal: this.ordinal };
    return { ...entry, partialLogMetadata };
  }
}

/** Fills the frame from the message between start and end. false when the bytes are no LogEntry. */
export function parseLogEntry(frame: LogFrame, buffer: Buffer, start: number, end: number): boolean {
  // Storing it anew costs the garbage collector a look each time.
  if (frame.buffer !== buffer) frame.buffer = buffer;
  frame.sourceStart = frame.sourceEnd = frame.lineStart = frame.lineEnd = start;
  frame.timeHigh = frame.timeLow = 0;
  frame.partial = false;
  if (frame.hasMetadata) clearMetadata(frame);
  // No engine writes an entry without source and time, and a run of zero bytes would be full of them.
  if (start === end) return false;
  let at = start;
  while (at < end) {
    const tag = buffer[at++]!;
    if (tag === TAG_TIME) {
      at = readTime(frame, buffer, at, end);
    } else if (tag === TAG_SOURCE || tag === TAG_LINE) {
      // Lengths below 128 take one byte; they are nearly all of them.
      let length = buffer[at++]!;
      if (length > 127) {
        const next = readLengthEnd(buffer, at - 1, end);
        length = readLength;
        at = next;
      }
      if (at === MALFORMED || at + length > end) return false;
      if (tag === TAG_LINE) {
        frame.lineStart = at;
        frame.lineEnd = at + length;
      } else {
        frame.sourceStart = at;
        frame.sourceEnd = at + length;
      }
      at += length;
    } else if (tag === TAG_PARTIAL) {
      at = readLengthEnd(buffer, at, end);
      frame.partial = readLength !== 0;
    } else if (tag === TAG_METADATA) {
      at = readMetadata(frame, buffer, at, end);
    } else {
      at = skipField(tag, buffer, at - 1, end);
    }
    if (at === MALFORMED) return false;
  }
  return at === end;
}

function clearMetadata(frame: LogFrame): void {
  frame.hasMetadata = frame.last = false;
  frame.ordinal = frame.idStart = frame.idEnd = 0;
}

function readTime(frame: LogFrame, buffer: Buffer, start: number, end: number): number {
  let low = 0;
  let high = 0;
  let shift = 0;
  let at = start;
  for (;;) {
    if (at >= end || shift > 63) return MALFORMED;
    const byte = buffer[at++]!;
    if (shift < 28) low |= (byte & 0x7f) << shift;
    else if (shift === 28) {
      low |= (byte & 0x0f) << 28;
      high = (byte & 0x7f) >>> 4;
    } else high |= (byte & 0x7f) << (shift - 32);
    if (byte < 0x80) break;
    shift += 7;
  }
  frame.timeLow = low >>> 0;
  frame.timeHigh = high >>> 0;
  return at;
}

/** The value of the last readLengthEnd(): a second return value without an object for it. */
let readLength = 0;

/** Reads an unsigned varint into readLength and returns where it ends. Values over 2^32 wrap; lengths never reach them. */
function readLengthEnd(buffer: Buffer, start: number, end: number): number {
  let value = 0;
  let shift = 0;
  let at = start;
  for (;;) {
    if (at >= end || shift > 63) return MALFORMED;
    const byte = buffer[at++]!;
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
    shift += 7;
  }
  readLength = value >>> 0;
  return at;
}

function readMetadata(frame: LogFrame, buffer: Buffer, start: number, end: number): number {
  let at = readLengthEnd(buffer, start, end);
  if (at === MALFORMED || at + readLength > end) return MALFORMED;
  const stop = at + readLength;
  frame.hasMetadata = true;
  frame.last = false;
  frame.ordinal = frame.idStart = frame.idEnd = 0;
  while (at < stop) {
    const tag = buffer[at++]!;
    if (tag === TAG_LAST) {
      at = readLengthEnd(buffer, at, stop);
      frame.last = readLength !== 0;
    } else if (tag === TAG_ORDINAL) {
      at = readLengthEnd(buffer, at, stop);
      // int32: negative values are sign-extended to 64 bits, their low half is the value.
      frame.ordinal = readLength | 0;
    } else if (tag === TAG_ID) {
      at = readLengthEnd(buffer, at, stop);
      if (at === MALFORMED || at + readLength > stop) return MALFORMED;
      frame.idStart = at;
      at += readLength;
      frame.idEnd = at;
    } else {
      at = skipField(tag, buffer, at - 1, stop);
    }
    if (at === MALFORMED) return MALFORMED;
  }
  return at;
}

/** Fields that later versions may add; a known field with another wire type is no LogEntry. */
function skipField(tag: number, buffer: Buffer, start: number, end: number): number {
  const field = tag >>> 3;
  if (tag < 0x80 && field <= 5) return MALFORMED;
  const at = readLengthEnd(buffer, start, end);
  if (at === MALFORMED) return MALFORMED;
  switch (tag & 7) {
    case 0:
      return readLengthEnd(buffer, at, end);
    case 1:
      return at + 8 <= end ? at + 8 : MALFORMED;
    case 2: {
      const from = readLengthEnd(buffer, at, end);
      return from !== MALFORMED && from + readLength <= end ? from + readLength : MALFORMED;
    }
    case 5:
      return at + 4 <= end ? at + 4 : MALFORMED;
    default:
      return MALFORMED;
  }
}
