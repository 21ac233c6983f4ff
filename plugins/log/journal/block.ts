/**
 * The journal of drivers that send: the engine's frames as they came, a batch of them in a block with a check sum. Writing costs
 * one check sum and one system call a batch; a damaged block costs that batch and no more.
 *
 * ```
 * block  "CLJ1"  body bytes u32  records u32  CRC-32 of the body u32     then the body: frames
 * ```
 *
 * Numbers are little-endian. A reader that is out of step looks for the next magic whose block is sound.
 */
import { crc32 } from 'node:zlib';
import type { LogFrameBatch } from '../../sdk/protocol/log-frame-encoder.ts';
import { LogFrameScanner } from '../../sdk/protocol/log-frame-scanner.ts';
import type { RecordScanner } from '../files/record-scanner.ts';

export const blockHeaderBytes = 16;
/** A batch is at most what one turn reads; a frame alone may be larger. */
export const maxBlockBytes = 2 * 1024 * 1024;
const magic = Buffer.from('CLJ1', 'latin1');

export function writeBlockHeader(header: Buffer, body: Buffer, records: number): void {
  magic.copy(header);
  header.writeUInt32LE(body.length, 4);
  header.writeUInt32LE(records, 8);
  header.writeUInt32LE(crc32(body), 12);
}

/** Bytes of the sound block at `at`; 0 when more is needed to tell; -1 when there is none. */
export function blockBytesAt(buffer: Buffer, at: number, end: number): number {
  if (end - at < blockHeaderBytes)
    return buffer.compare(magic, 0, Math.min(4, end - at), at, Math.min(at + 4, end)) === 0 ? 0 : -1;
  if (buffer.compare(magic, 0, 4, at, at + 4) !== 0) return -1;
  const length = buffer.readUInt32LE(at + 4);
  if (length === 0 || length > maxBlockBytes) return -1;
  const stop = at + blockHeaderBytes + length;
  if (stop > end) return 0;
  const sound = crc32(buffer.subarray(at + blockHeaderBytes, stop)) === buffer.readUInt32LE(at + 12);
  return sound ? blockHeaderBytes + length : -1;
}

/** Records are frames; `position` is always a block's start, so that a cursor or an index can name it. */
export class JournalScanner implements RecordScanner {
  position = 0;
  recordStart = 0;
  timeHigh = 0;
  timeLow = 0;
  damagedBytes = 0;
  /** The frames of the current block; its `frame` is the current record. */
  readonly frames = new LogFrameScanner();
  #buffer: Buffer = Buffer.alloc(0);
  #end = 0;
  #atEnd = false;
  #blockEnd = 0;

  reset(buffer: Buffer, start: number, end: number, atEnd: boolean): void {
    this.#buffer = buffer;
    this.position = this.#blockEnd = start;
    this.#end = end;
    this.#atEnd = atEnd;
    this.frames.reset(buffer, start, start);
  }

  /** Where the current block ends. */
  get blockEnd(): number {
    return this.#blockEnd;
  }

  next(): boolean {
    while (!this.frames.next()) if (!this.enterBlock()) return false;
    const { frame } = this.frames;
    this.recordStart = frame.frameStart;
    this.timeHigh = frame.timeHigh;
    this.timeLow = frame.timeLow;
    return true;
  }

  /** The time is there already. */
  readTime(): void {}

  addTo(batch: LogFrameBatch): void {
    const { frame } = this.frames;
    const endsLine = !frame.partial || frame.last;
    batch.write(frame.source, frame.timeHigh, frame.timeLow, frame.buffer, frame.lineStart, frame.lineEnd, endsLine);
  }

  /** Goes to the next sound block, whose frames `frames` then has; `position` is its start. */
  enterBlock(): boolean {
    this.position = this.#blockEnd;
    while (this.position < this.#end) {
      const bytes = blockBytesAt(this.#buffer, this.position, this.#end);
      if (bytes > 0) {
        this.#blockEnd = this.position + bytes;
        this.frames.reset(this.#buffer, this.position + blockHeaderBytes, this.#blockEnd);
        return true;
      }
      if (bytes === 0 && !this.#atEnd) return false;
      const next = this.#buffer.indexOf(magic, this.position + 1);
      const found =
        next === -1 || next >= this.#end ? Math.max(this.position + 1, this.#end - (this.#atEnd ? 0 : 3)) : next;
      this.damagedBytes += found - this.position;
      this.position = this.#blockEnd = found;
      this.frames.reset(this.#buffer, found, found);
    }
    return false;
  }
}
