/**
 * A line of fixed length in a file of its own, overwritten in place: what must be written down on a full disk too, where a new
 * file finds no room. A page is written as a whole or not at all when the process is killed.
 */
import { closeSync, constants, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

export class FixedRecord {
  readonly #path: string;
  readonly #bytes: number;
  #written = '';

  /** `bytes`: of the line with its newline. Nothing is touched yet. */
  constructor(path: string, bytes: number) {
    this.#path = path;
    this.#bytes = bytes;
  }

  /** Without padding and newline; undefined when there is no such file. */
  read(): string | undefined {
    try {
      this.#written = readFileSync(this.#path, 'utf8').trimEnd();
      return this.#written;
    } catch {
      return undefined;
    }
  }

  /** False when the disk refuses, which it can do only while the file does not exist yet. What is too long is cut. */
  write(text: string): boolean {
    if (text === this.#written) return true;
    const line = Buffer.alloc(this.#bytes, ' ');
    line.write(text, 0, this.#bytes - 1, 'utf8');
    line[this.#bytes - 1] = 0x0a;
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o710 });
      const fd = openSync(this.#path, constants.O_WRONLY | constants.O_CREAT, 0o640);
      try {
        writeSync(fd, line, 0, line.length, 0);
      } finally {
        closeSync(fd);
      }
    } catch {
      return false;
    }
    this.#written = text;
    return true;
  }
}
