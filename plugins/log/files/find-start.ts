/** Where reading has to start for `--tail` and `--since`: whole files and whole index blocks are passed over unread. */
import { closeSync, fstatSync, mkdirSync, openSync, statSync } from 'node:fs';
import { compareTime } from '../nano-time.ts';
import { fileChunks } from './file-chunks.ts';
import type { LogFile, LogFiles } from './log-files.ts';
import type { RecordScanner } from './record-scanner.ts';
import { surveyRecords } from './survey.ts';
import { type IndexEntry, indexBlockBytes, readFingerprint, readTimeIndex, writeTimeIndex } from './time-index.ts';

export interface StartPosition {
  readonly file: LogFile;
  readonly offset: number;
  /** Records to pass over from there. */
  readonly skip: number;
}

/** The first block that can hold a record of that time or later. */
export async function findSince(
  files: LogFiles,
  newScanner: () => RecordScanner,
  high: number,
  low: number,
): Promise<StartPosition | undefined> {
  for (const file of files.all) {
    const entries = loadIndex(files, file, newScanner);
    const block = entries.findIndex((entry) => compareTime(entry.latestHigh, entry.latestLow, high, low) >= 0);
    if (block !== -1) return { file, offset: entries[block - 1]?.end ?? 0, skip: 0 };
    if (await restReaches(file, entries, newScanner(), high, low))
      return { file, offset: entries.at(-1)?.end ?? 0, skip: 0 };
  }
  return undefined;
}

/** Behind the last complete block there is less than a block to look at; of a compressed file without index, all of it. */
async function restReaches(
  file: LogFile,
  entries: readonly IndexEntry[],
  scanner: RecordScanner,
  high: number,
  low: number,
): Promise<boolean> {
  for await (const records of scanFile(file, entries.at(-1)?.end ?? 0, scanner)) {
    while (records.next()) {
      records.readTime();
      if (compareTime(records.timeHigh, records.timeLow, high, low) >= 0) return true;
    }
  }
  return false;
}

/** The position that has `count` records behind it, up to `end`: what is written meanwhile does not count. */
export async function findTail(
  files: LogFiles,
  newScanner: () => RecordScanner,
  count: number,
  end: StartPosition,
): Promise<StartPosition | undefined> {
  let wanted = count;
  for (const file of files.all.filter(({ sequence }) => sequence <= end.file.sequence).reverse()) {
    const limit = file === end.file ? end.offset : Number.POSITIVE_INFINITY;
    const entries = loadIndex(files, file, newScanner).filter((entry) => entry.end <= limit);
    const indexed = entries.at(-1);
    const rest = await countRecords(file, indexed?.end ?? 0, newScanner(), limit);
    if (rest >= wanted) return { file, offset: indexed?.end ?? 0, skip: rest - wanted };
    wanted -= rest;
    const records = indexed?.records ?? 0;
    if (records >= wanted) {
      const target = records - wanted;
      const block = entries.findLast((entry) => entry.records <= target);
      return { file, offset: block?.end ?? 0, skip: target - (block?.records ?? 0) };
    }
    wanted -= records;
  }
  const [file] = files.all;
  return file === undefined ? undefined : { file, offset: 0, skip: 0 };
}

async function countRecords(file: LogFile, from: number, scanner: RecordScanner, limit: number): Promise<number> {
  let count = 0;
  for await (const records of scanFile(file, from, scanner, limit)) while (records.next()) count++;
  return count;
}

/** Hands out the scanner, set to piece after piece of the file; the caller runs it until `next` says no. */
async function* scanFile(
  file: LogFile,
  from: number,
  scanner: RecordScanner,
  limit: number = Number.POSITIVE_INFINITY,
): AsyncGenerator<RecordScanner> {
  let rest: Buffer = Buffer.alloc(0);
  let left = limit - from;
  for await (const chunk of fileChunks(file, from, () => {})) {
    const taken = chunk.subarray(0, left);
    left -= taken.length;
    const buffer = rest.length === 0 ? taken : Buffer.concat([rest, taken]);
    scanner.reset(buffer, 0, buffer.length, false);
    yield scanner;
    rest = buffer.subarray(scanner.position);
    if (left === 0) return;
  }
}

/** The file's index; made now, by one scan, when it is missing and the file is a large plain one. */
function loadIndex(files: LogFiles, file: LogFile, newScanner: () => RecordScanner): readonly IndexEntry[] {
  const stat = file.removed ? undefined : statSync(file.path, { throwIfNoEntry: false });
  if (stat === undefined) return [];
  const path = files.indexPathOf(stat.ino);
  if (file.compressed) return readTimeIndex(path, { compressedSize: stat.size }) ?? [];
  const fd = openSync(file.path, 'r');
  try {
    const fingerprint = readFingerprint(fd);
    const size = fstatSync(fd).size;
    const known = readTimeIndex(path, { fingerprint });
    if (known !== undefined) return known.filter((entry) => entry.end <= size);
    if (size < 2 * indexBlockBytes) return [];
    const entries: IndexEntry[] = [];
    surveyRecords(newScanner(), fd, 0, size, (soFar) => entries.push(soFar));
    keepIndex(files, path, entries, fingerprint);
    return entries;
  } finally {
    closeSync(fd);
  }
}

/** For the next reader. A file of this size that is being written has an index already, so nobody else writes this one. */
function keepIndex(files: LogFiles, path: string, entries: readonly IndexEntry[], fingerprint: number): void {
  try {
    mkdirSync(files.indexFolder, { recursive: true, mode: 0o710 });
    writeTimeIndex(path, entries, fingerprint);
  } catch {
    // A full or read-only disk: reading goes on without.
  }
}
