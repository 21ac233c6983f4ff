/**
 * The sparse index beside a log file: for each block of about 256 KiB where it ends, how many records lie before that end, and
 * the latest time inside. `--since` skips blocks whose latest time is too early, whatever the clock did; `--tail` counts back
 * over whole blocks. It is written after the data, so it never names what is not there; a missing one is made again by a scan.
 *
 * ```
 * header 24 bytes: magic "CLEATIX1", size of a compressed file or 0 (float64), CRC of the log's first bytes, 0
 * entry  28 bytes: end offset (float64), records before it (float64), latest time (2 x uint32), CRC of the entry
 * ```
 */
import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';

const magic = Buffer.from('CLEATIX1', 'latin1');
const headerBytes = 24;
const entryBytes = 28;
export const indexBlockBytes = 256 * 1024;
/** A log file is told from another that got its inode number by its first bytes. */
export const fingerprintBytes = 64;

export interface IndexEntry {
  /** Offset in the (uncompressed) file where the block ends. */
  readonly end: number;
  /** Records from the start of the file to `end`. */
  readonly records: number;
  readonly latestHigh: number;
  readonly latestLow: number;
}

/** The complete blocks of a file; undefined when there is no index that belongs to it. */
export function readTimeIndex(
  path: string,
  matches: { fingerprint?: number; compressedSize?: number },
): IndexEntry[] | undefined {
  const bytes = readWhole(path);
  if (bytes === undefined || bytes.length < headerBytes || !bytes.subarray(0, 8).equals(magic)) return undefined;
  if (bytes.readDoubleLE(8) !== (matches.compressedSize ?? 0)) return undefined;
  if (matches.fingerprint !== undefined && bytes.readUInt32LE(16) !== matches.fingerprint) return undefined;
  const entries: IndexEntry[] = [];
  for (let at = headerBytes; at + entryBytes <= bytes.length; at += entryBytes) {
    if (bytes.readUInt32LE(at + 24) !== crc32(bytes.subarray(at, at + 24))) break;
    entries.push({
      end: bytes.readDoubleLE(at),
      records: bytes.readDoubleLE(at + 8),
      latestHigh: bytes.readUInt32LE(at + 16),
      latestLow: bytes.readUInt32LE(at + 20),
    });
  }
  return entries;
}

/** Collects what is appended to one log file and writes an entry whenever a block is full. */
export class TimeIndexWriter {
  readonly #path: string;
  #fd: number | undefined;
  #end: number;
  #records: number;
  #blockStart: number;
  #latestHigh = 0;
  #latestLow = 0;

  /** `entries` are the blocks that the index already has; the log file's rest is then given by `add`. */
  constructor(path: string, entries: readonly IndexEntry[] = []) {
    const last = entries.at(-1);
    this.#path = path;
    this.#end = this.#blockStart = last?.end ?? 0;
    this.#records = last?.records ?? 0;
  }

  get end(): number {
    return this.#end;
  }

  get records(): number {
    return this.#records;
  }

  add(bytes: number, records: number, latestHigh: number, latestLow: number, fingerprint: () => number): void {
    this.#end += bytes;
    this.#records += records;
    if (latestHigh > this.#latestHigh || (latestHigh === this.#latestHigh && latestLow > this.#latestLow)) {
      this.#latestHigh = latestHigh;
      this.#latestLow = latestLow;
    }
    if (this.#end - this.#blockStart >= indexBlockBytes) this.#endBlock(fingerprint);
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #endBlock(fingerprint: () => number): void {
    const entry = encodeEntry({
      end: this.#end,
      records: this.#records,
      latestHigh: this.#latestHigh,
      latestLow: this.#latestLow,
    });
    this.#blockStart = this.#end;
    this.#latestHigh = this.#latestLow = 0;
    try {
      this.#fd ??= openForAppend(this.#path, fingerprint);
      writeSync(this.#fd, entry);
    } catch {
      // A full disk: the index stays short, readers scan what it lacks.
    }
  }
}

/** Gives a compressed file the index of the plain one, where it has one of its own: a file that somebody emptied has not. */
export function copyTimeIndex(fromPath: string, toPath: string, fingerprint: number, compressedSize: number): void {
  const bytes = readWhole(fromPath);
  if (bytes === undefined || bytes.length < headerBytes || bytes.readUInt32LE(16) !== fingerprint) return;
  bytes.writeDoubleLE(compressedSize, 8);
  writeWhole(toPath, bytes);
}

/** Of an open log file. */
export function readFingerprint(fd: number): number {
  const head = Buffer.alloc(fingerprintBytes);
  return crc32(head.subarray(0, readSync(fd, head, 0, fingerprintBytes, 0)));
}

export function writeTimeIndex(path: string, entries: readonly IndexEntry[], fingerprint: number): void {
  writeWhole(path, Buffer.concat([encodeHeader(fingerprint), ...entries.map(encodeEntry)]));
}

export function removeTimeIndex(path: string): void {
  rmSync(path, { force: true });
}

function encodeHeader(fingerprint: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  magic.copy(header);
  header.writeUInt32LE(fingerprint, 16);
  return header;
}

function encodeEntry(entry: IndexEntry): Buffer {
  const bytes = Buffer.alloc(entryBytes);
  bytes.writeDoubleLE(entry.end, 0);
  bytes.writeDoubleLE(entry.records, 8);
  bytes.writeUInt32LE(entry.latestHigh, 16);
  bytes.writeUInt32LE(entry.latestLow, 20);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 24)), 24);
  return bytes;
}

function openForAppend(path: string, fingerprint: () => number): number {
  const fd = openSync(path, 'a', 0o640);
  const size = fstatSync(fd).size;
  // A torn entry would put all later ones out of step.
  if (size < headerBytes || (size - headerBytes) % entryBytes !== 0) {
    closeSync(fd);
    const entries = readTimeIndex(path, {}) ?? [];
    writeTimeIndex(path, entries, fingerprint());
    return openSync(path, 'a', 0o640);
  }
  return fd;
}

function writeWhole(path: string, bytes: Buffer): void {
  const fd = openSync(`${path}.tmp`, 'w', 0o640);
  try {
    writeSync(fd, bytes);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.tmp`, path);
}

function readWhole(path: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    const bytes = Buffer.alloc(fstatSync(fd).size);
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(fd);
  }
}
