/** Writes frames: one by one, or many into one buffer that ReadLogs sends at once. */
import type { LogEntry, PartialLogMetadata } from '../log-plugin.ts';
import { FRAME_HEADER_LENGTH, type LogFrame } from './log-entry.ts';

/** ReadLogs appends it to whole lines and last pieces: engines print `line` unchanged. */
const NEWLINE = 0x0a;
/** Tags, lengths, time and flags take less than this; source, line and metadata come on top. */
const OVERHEAD = FRAME_HEADER_LENGTH + 64;

/** One frame in a buffer of its own. */
export function encodeLogFrame(entry: LogEntry): Buffer {
  const batch = new LogFrameBatch(OVERHEAD + entry.line.length + 200);
  batch.add(entry);
  return batch.take();
}

/** Collects frames. `take()` hands the bytes over; what was taken is never written again. */
export class LogFrameBatch {
  readonly #capacity: number;
  #buffer: Buffer;
  #length = 0;

  /** `capacity` in bytes; it grows when a frame needs more. */
  constructor(capacity = 64 << 10) {
    this.#capacity = capacity;
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  /** Bytes collected. */
  get length(): number {
    return this.#length;
  }

  /** With `newline`, one is appended to the line. */
  add(entry: LogEntry, newline = false): void {
    const high = Number(BigInt.asUintN(32, entry.timeNano >> 32n));
    const low = Number(BigInt.asUintN(32, entry.timeNano));
    const { source, line, partial, partialLogMetadata } = entry;
    this.write(source, high, low, line, 0, line.length, newline, partial, partialLogMetadata);
  }

  /** The same from parts, for hot paths: nothing is allocated. Time comes in two unsigned 32-bit halves. */
  write(
    source: string,
    timeHigh: number,
    timeLow: number,
    line: Uint8Array,
    lineStart: number,
    lineEnd: number,
    newline: boolean,
    partial = false,
    metadata?: PartialLogMetadata,
  ): void {
    const lineLength = lineEnd - lineStart + (newline ? 1 : 0);
    this.#reserve(OVERHEAD + lineLength + 3 * (source.length + (metadata?.id.length ?? 0)));
    const buffer = this.#buffer;
    const start = this.#length;
    let at = start + FRAME_HEADER_LENGTH;
    if (source !== '') at = writeText(buffer, at, 0x0a, source);
    if (timeHigh !== 0 || timeLow !== 0) {
      buffer[at++] = 0x10;
      at = writeVarint64(buffer, at, timeHigh, timeLow);
    }
    if (lineLength > 0) {
      buffer[at++] = 0x1a;
      at = writeVarint(buffer, at, lineLength);
      buffer.set(lineStart === 0 && lineEnd === line.length ? line : line.subarray(lineStart, lineEnd), at);
      at += lineEnd - lineStart;
      if (newline) buffer[at++] = NEWLINE;
    }
    if (partial) {
      buffer[at++] = 0x20;
      buffer[at++] = 1;
    }
    if (metadata !== undefined) at = writeMetadata(buffer, at, metadata);
    buffer.writeUInt32BE(at - start - FRAME_HEADER_LENGTH, start);
    this.#length = at;
  }

  /** The frame as it came. */
  addFrame(frame: LogFrame): void {
    const length = frame.frameEnd - frame.frameStart;
    this.#reserve(length);
    frame.buffer.copy(this.#buffer, this.#length, frame.frameStart, frame.frameEnd);
    this.#length += length;
  }

  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length);
    const rest = this.#buffer.length - this.#length;
    // The unused rest of a large buffer serves on; a small one is not worth keeping alive.
    this.#buffer =
      rest >= this.#capacity / 2 ? this.#buffer.subarray(this.#length) : Buffer.allocUnsafe(this.#capacity);
    this.#length = 0;
    return taken;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

function writeVarint(buffer: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value >>> 0;
  while (rest > 0x7f) {
    buffer[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[at++] = rest;
  return at;
}

function writeVarint64(buffer: Buffer, start: number, high: number, low: number): number {
  let at = start;
  let lowRest = low >>> 0;
  let highRest = high >>> 0;
  while (highRest > 0 || lowRest > 0x7f) {
    buffer[at++] = (lowRest & 0x7f) | 0x80;
    lowRest = ((lowRest >>> 7) | (highRest << 25)) >>> 0;
    highRest >>>= 7;
  }
  buffer[at++] = lowRest;
  return at;
}

/** Tag, length and UTF-8 bytes. */
function writeText(buffer: Buffer, start: number, tag: number, text: string): number {
  buffer[start] = tag;
  const at = writeVarint(buffer, start + 1, Buffer.byteLength(text));
  return at + buffer.write(text, at, 'utf8');
}

function writeMetadata(buffer: Buffer, start: number, metadata: PartialLogMetadata): number {
  const { last, id, ordinal } = metadata;
  const ordinalLength = ordinal === 0 ? 0 : 1 + varintLength(ordinal);
  const idLength = Buffer.byteLength(id);
  const idFieldLength = idLength === 0 ? 0 : 1 + varintLength(idLength) + idLength;
  buffer[start] = 0x2a;
  let at = writeVarint(buffer, start + 1, (last ? 2 : 0) + idFieldLength + ordinalLength);
  if (last) {
    buffer[at++] = 0x08;
    buffer[at++] = 1;
  }
  if (idLength > 0) at = writeText(buffer, at, 0x12, id);
  if (ordinal !== 0) {
    buffer[at++] = 0x18;
    // int32 on the wire is a sign-extended 64-bit varint.
    at = writeVarint64(buffer, at, ordinal < 0 ? 0xffffffff : 0, ordinal);
  }
  return at;
}

function varintLength(value: number): number {
  if (value < 0) return 10;
  let length = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) length += 1;
  return length;
}
