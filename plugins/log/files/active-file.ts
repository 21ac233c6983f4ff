/**
 * The file that a log grows in: appends whole records, removes a torn one after a crash, keeps the time index, rotates. A write
 * either lands completely or is taken back, so the file always ends at a record.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { compressLater } from './compress.ts';
import type { LogFile, LogFiles } from './log-files.ts';
import type { Survey } from './survey.ts';
import {
  fingerprintBytes,
  type IndexEntry,
  readTimeIndex,
  removeTimeIndex,
  TimeIndexWriter,
  writeTimeIndex,
} from './time-index.ts';

export interface RotationLimits {
  /** A file that has reached this many bytes is rotated before the next record; Infinity: never. */
  readonly maxSizeBytes: number;
  /** Files kept, the newest among them. */
  readonly maxFiles: number;
  readonly compress: boolean;
}

/** What a batch of records adds to the index. */
export interface BatchFacts {
  readonly records: number;
  readonly latestHigh: number;
  readonly latestLow: number;
}

export interface ActiveFileOptions {
  readonly files: LogFiles;
  readonly limits: RotationLimits;
  /** Where the sound records end in an existing file, from an offset that an index entry names; and what they add up to. */
  readonly survey: (fd: number, from: number, size: number, onChunk: (soFar: Survey) => void) => Survey;
  /** May the oldest file go? A spool says no while it has something to send. Default: always. */
  readonly mayRemove?: (file: LogFile) => boolean;
  readonly mayCompress?: (file: LogFile) => boolean;
  readonly onError: (error: unknown) => void;
}

export class ActiveFile {
  readonly files: LogFiles;
  readonly #options: ActiveFileOptions;
  #file: LogFile | undefined;
  #fd = -1;
  #size = 0;
  #index: TimeIndexWriter | undefined;
  #head: Buffer = Buffer.alloc(0);

  constructor(options: ActiveFileOptions) {
    this.files = options.files;
    this.#options = options;
  }

  get limits(): RotationLimits {
    return this.#options.limits;
  }

  /** Bytes in the newest file; 0 before the first write. */
  get size(): number {
    return this.#size;
  }

  get file(): LogFile | undefined {
    return this.#file;
  }

  /** Opens the newest file for appending; harmless when it is open. Throws what the file system throws. */
  open(): void {
    if (this.#fd !== -1) return;
    const file = this.files.begin();
    const fd = openSync(file.path, 'a+', 0o640);
    try {
      const stat = fstatSync(fd);
      const indexPath = this.files.indexPathOf(stat.ino);
      this.#head = readHead(fd);
      const fingerprint = crc32(this.#head);
      const known = stat.size === 0 ? undefined : readTimeIndex(indexPath, { fingerprint });
      const entries = (known ?? []).filter((entry) => entry.end <= stat.size);
      const from = entries.at(-1)?.end ?? 0;
      const blocks: IndexEntry[] = [];
      const rest = this.#options.survey(fd, from, stat.size, (soFar) => blocks.push(soFar));
      if (rest.end < stat.size) ftruncateSync(fd, rest.end);
      this.#size = rest.end;
      this.#file = file;
      this.#fd = fd;
      if (known === undefined && blocks.length > 1) {
        // A lost index of a large file is made anew from the same look at it.
        writeTimeIndex(indexPath, blocks, fingerprint);
        this.#index = new TimeIndexWriter(indexPath, blocks);
        return;
      }
      if (known === undefined) removeTimeIndex(indexPath);
      this.#index = new TimeIndexWriter(indexPath, entries);
      this.#index.add(rest.end - from, rest.records, rest.latestHigh, rest.latestLow, this.#fingerprint);
    } catch (error) {
      closeSync(fd);
      this.#fd = -1;
      throw error;
    }
  }

  /** Appends complete records. Throws when they do not fit on the disk; nothing of them stays then. */
  append(buffer: Buffer, start: number, end: number, facts: BatchFacts): void {
    this.open();
    let written = start;
    try {
      while (written < end) written += writeSync(this.#fd, buffer, written, end - written);
    } catch (error) {
      if (written > start) ftruncateSync(this.#fd, this.#size);
      throw error;
    }
    if (this.#head.length < fingerprintBytes) {
      this.#head = Buffer.concat([
        this.#head,
        buffer.subarray(start, Math.min(end, start + fingerprintBytes)),
      ]).subarray(0, fingerprintBytes);
    }
    this.#size += end - start;
    this.#index?.add(end - start, facts.records, facts.latestHigh, facts.latestLow, this.#fingerprint);
  }

  /**
   * The last bytes that were written, at most so many. Right after a rotation they are in the file before: the new one is empty.
   */
  readTail(bytes: number): Buffer {
    this.open();
    if (this.#size > 0) return readEnd(this.#fd, this.#size, bytes);
    const before = this.files.all.at(-2);
    if (before === undefined || before.compressed) return Buffer.alloc(0);
    const fd = openSync(before.path, 'r');
    try {
      return readEnd(fd, fstatSync(fd).size, bytes);
    } finally {
      closeSync(fd);
    }
  }

  /** Ends the newest file and starts another; removes what is beyond the limit and compresses what was ended. */
  rotate(): void {
    const { limits, mayRemove, mayCompress, onError } = this.#options;
    const ended = this.#file;
    this.close();
    if (this.files.all.length >= limits.maxFiles) this.#removeDown(limits.maxFiles - 1, mayRemove);
    this.files.rotate();
    this.open();
    if (limits.compress && ended !== undefined && !ended.removed && (mayCompress?.(ended) ?? true)) {
      void compressLater(this.files, ended, onError);
    }
  }

  /** Removes what is beyond the limit and may go now, and compresses what may be compressed now. */
  trim(): void {
    const { limits, mayRemove, mayCompress, onError } = this.#options;
    this.#removeDown(limits.maxFiles, mayRemove);
    if (!limits.compress) return;
    for (const file of this.files.all) {
      if (file !== this.files.newest && !file.compressed && (mayCompress?.(file) ?? true))
        void compressLater(this.files, file, onError);
    }
  }

  close(): void {
    if (this.#fd === -1) return;
    closeSync(this.#fd);
    this.#index?.close();
    this.#fd = -1;
    this.#index = undefined;
    this.#size = 0;
  }

  readonly #fingerprint = (): number => crc32(this.#head);

  #removeDown(keep: number, mayRemove: ((file: LogFile) => boolean) | undefined): void {
    while (this.files.all.length > keep) {
      const oldest = this.files.all[0];
      if (oldest === undefined || (mayRemove && !mayRemove(oldest))) return;
      this.files.removeOldest();
    }
  }
}

function readEnd(fd: number, size: number, bytes: number): Buffer {
  const end = Buffer.alloc(Math.min(size, bytes));
  readSync(fd, end, 0, end.length, size - end.length);
  return end;
}

function readHead(fd: number): Buffer {
  const head = Buffer.alloc(fingerprintBytes);
  return head.subarray(0, readSync(fd, head, 0, fingerprintBytes, 0));
}
