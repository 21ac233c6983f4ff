/**
 * What a terminal said while the shim was away: conmon writes all of it to a file beside what it sends us, in the line format
 * of Kubernetes' logs, and begins a new file when that one is full.
 *
 *     terminal.log     `TIME stdout F TEXT\n` a line of the terminal, `P` in place of `F` a piece of one
 *     terminal.seen    `INODE BYTES` of that file's text have come to us; written as it comes, so that a killed shim has it, too
 */
import { closeSync, constants, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** The most that is kept for a shim that is away. */
export const terminalLogBytes: number = 4 << 20;

const blank = 0x20;
const newline = 0x0a;
const recordBytes = 48;

export class TerminalLog {
  readonly #path: string;
  readonly #fd: number;
  #inode: number;
  #bytes: number;
  #isClosed = false;

  /** Goes on where an earlier shim stopped. */
  constructor(bundle: string) {
    this.#path = join(bundle, 'terminal.log');
    this.#fd = openSync(join(bundle, 'terminal.seen'), constants.O_RDWR | constants.O_CREAT, 0o600);
    const buffer = Buffer.alloc(recordBytes);
    const [inode, bytes] = buffer.toString('latin1', 0, readSync(this.#fd, buffer, 0, recordBytes, 0)).split(' ');
    this.#inode = Number(inode || this.#currentInode());
    this.#bytes = Number(bytes ?? 0);
  }

  /**
   * So much has come over the socket. The first of a new file is not counted: it may be the last of the old one, and is rather
   * said twice than not at all.
   */
  seen(bytes: number): void {
    const inode = this.#currentInode();
    this.#bytes = inode === this.#inode ? this.#bytes + bytes : 0;
    this.#inode = inode;
    writeSync(this.#fd, `${inode} ${this.#bytes} `.padEnd(recordBytes), 0);
  }

  /** The text that has not come to us yet. */
  missed(): Buffer {
    let text: Buffer;
    try {
      text = terminalText(readFileSync(this.#path));
    } catch {
      return Buffer.alloc(0); // gone with the monitor
    }
    return this.#currentInode() === this.#inode ? text.subarray(this.#bytes) : text;
  }

  /** Safe to call twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#fd);
  }

  #currentInode(): number {
    return statSync(this.#path, { throwIfNoEntry: false })?.ino ?? 0;
  }
}

/** The text of whole lines of the file. */
export function terminalText(file: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let start = 0, end = file.indexOf(newline); end >= 0; start = end + 1, end = file.indexOf(newline, start)) {
    const afterTime = file.indexOf(blank, start);
    const afterStream = file.indexOf(blank, afterTime + 1);
    const afterTag = afterStream + 2;
    if (afterTime < 0 || afterStream < 0 || afterTag >= end) continue;
    // A piece has no end of line of its own.
    parts.push(file.subarray(afterTag + 1, file[afterStream + 1] === 0x46 ? end + 1 : end));
  }
  return Buffer.concat(parts);
}

/**
 * Of what was missed and what came meanwhile over the socket, each byte once: `missed` has, at its end, what `came` has, and
 * perhaps a little that is still on its way; or, where the file lags behind, the beginning of it.
 */
export function joinMissed(missed: Buffer, came: Buffer): Buffer {
  if (came.length === 0) return missed;
  const at = missed.lastIndexOf(came);
  if (at >= 0) return missed.subarray(0, at + came.length);
  return Buffer.concat([missed.subarray(0, overlapAt(missed, came)), came]);
}

/** Where the longest end of `missed` begins with which `came` begins; its length when there is none. */
function overlapAt(missed: Buffer, came: Buffer): number {
  const [first] = came;
  const next = (from: number) => missed.indexOf(first as number, from);
  for (let at = next(Math.max(0, missed.length - came.length)); at >= 0; at = next(at + 1)) {
    if (missed.subarray(at).equals(came.subarray(0, missed.length - at))) return at;
  }
  return missed.length;
}
