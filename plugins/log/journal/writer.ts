/** Appends frames to the journal as they are in the pipe: nothing is decoded again, copied or re-encoded. */

import type { LogFrame } from '../../sdk/protocol/log-entry.ts';
import type { LogFrameScanner } from '../../sdk/protocol/log-frame-scanner.ts';
import { ActiveFile, type RotationLimits } from '../files/active-file.ts';
import type { LogFile, LogFiles } from '../files/log-files.ts';
import { surveyRecords } from '../files/survey.ts';
import type { LogWriter, Written } from '../log-writer.ts';
import { blockHeaderBytes, JournalScanner, maxBlockBytes, writeBlockHeader } from './block.ts';

/** Shared by all journals: empty between two calls of `write`. */
let block: Buffer = Buffer.allocUnsafe(blockHeaderBytes + 256 * 1024);

export interface JournalWriterOptions {
  readonly files: LogFiles;
  readonly limits: RotationLimits;
  /** A file with something left to send stays. */
  readonly mayRemove: (file: LogFile) => boolean;
  readonly mayCompress: (file: LogFile) => boolean;
  readonly onError: (error: unknown) => void;
}

export class JournalWriter implements LogWriter {
  readonly files: LogFiles;
  readonly active: ActiveFile;
  readonly written: Written = { lines: 0, bytes: 0 };
  safePosition = 0;
  /** The last frame written since this process opened the journal, or found at its end. */
  #lastFrame: Buffer | undefined;

  constructor(options: JournalWriterOptions) {
    this.files = options.files;
    this.active = new ActiveFile({
      ...options,
      survey: (fd, from, size, onChunk) => surveyRecords(new JournalScanner(), fd, from, size, onChunk),
    });
  }

  write(scanner: LogFrameScanner): number {
    this.safePosition = scanner.position;
    this.active.open();
    const { frame } = scanner;
    let start = scanner.position;
    let end = start;
    let records = 0;
    let lineBytes = 0;
    let latestHigh = 0;
    let latestLow = 0;
    while (scanner.next()) {
      // Damage in between: the frames before it make a block of their own.
      const apart = frame.frameStart !== end || end - start > maxBlockBytes / 2;
      if (apart && records > 0) {
        this.#append(scanner.buffer, start, end, { records, latestHigh, latestLow }, lineBytes);
        this.safePosition = end;
        records = lineBytes = latestHigh = latestLow = 0;
      }
      if (records === 0) start = frame.frameStart;
      end = frame.frameEnd;
      records++;
      lineBytes += frame.lineEnd - frame.lineStart;
      if (frame.timeHigh > latestHigh || (frame.timeHigh === latestHigh && frame.timeLow > latestLow)) {
        latestHigh = frame.timeHigh;
        latestLow = frame.timeLow;
      }
    }
    if (records > 0) this.#append(scanner.buffer, start, end, { records, latestHigh, latestLow }, lineBytes);
    this.safePosition = scanner.position;
    return scanner.position;
  }

  endsWith(frame: LogFrame): boolean {
    this.#lastFrame ??= this.#readLastFrame();
    return this.#lastFrame.equals(frame.buffer.subarray(frame.frameStart, frame.frameEnd));
  }

  /** Files that have been sent may go or be compressed now. */
  trim(): void {
    this.active.trim();
  }

  recordScanner(): JournalScanner {
    return new JournalScanner();
  }

  close(): void {
    this.active.close();
  }

  #append(
    buffer: Buffer,
    start: number,
    end: number,
    facts: { readonly records: number; readonly latestHigh: number; readonly latestLow: number },
    lineBytes: number,
  ): void {
    const { active } = this;
    if (active.size >= active.limits.maxSizeBytes) active.rotate();
    const bytes = blockHeaderBytes + end - start;
    if (bytes > block.length) block = Buffer.allocUnsafe(bytes);
    buffer.copy(block, blockHeaderBytes, start, end);
    writeBlockHeader(block, block.subarray(blockHeaderBytes, bytes), facts.records);
    active.append(block, 0, bytes, facts);
    this.written.lines += facts.records;
    this.written.bytes += lineBytes;
    this.#lastFrame = undefined;
  }

  /** Looks at the end of the newest file: the last block is at most one turn long. */
  #readLastFrame(): Buffer {
    const tail = this.active.readTail(maxBlockBytes);
    const scanner = new JournalScanner();
    scanner.reset(tail, 0, tail.length, true);
    let last: Buffer = Buffer.alloc(0);
    while (scanner.next()) {
      const { frame } = scanner.frames;
      last = tail.subarray(frame.frameStart, frame.frameEnd);
    }
    return Buffer.from(last);
  }
}
