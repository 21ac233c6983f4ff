/** How far a log has been sent, kept in a small file beside it. Losing it means sending lines twice, never losing some. */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** A block of a journal file: what lies before it has been sent. */
export interface Position {
  readonly sequence: number;
  readonly offset: number;
}

/** What the file says: the position, and lines dropped there that no server has been told of yet. */
export interface CursorState extends Position {
  readonly droppedLines: number;
  readonly droppedBytes: number;
}

export class CursorFile {
  readonly #path: string;
  #written = '';

  constructor(path: string) {
    this.#path = path;
  }

  read(): CursorState | undefined {
    try {
      const text = readFileSync(this.#path, 'utf8');
      const [, sequence, offset, lines, bytes] = /^(\d+) (\d+) (\d+) (\d+)\n$/.exec(text) ?? [];
      if (sequence === undefined) return undefined;
      this.#written = text;
      return {
        sequence: Number(sequence),
        offset: Number(offset),
        droppedLines: Number(lines),
        droppedBytes: Number(bytes),
      };
    } catch {
      return undefined;
    }
  }

  /** Replaces the file in one step. A full disk leaves the old one. */
  write(state: CursorState): void {
    const text = `${state.sequence} ${state.offset} ${state.droppedLines} ${state.droppedBytes}\n`;
    if (text === this.#written) return;
    try {
      mkdirSync(dirname(this.#path), { recursive: true });
      const fd = openSync(`${this.#path}.tmp`, 'w', 0o640);
      try {
        writeSync(fd, text);
      } finally {
        closeSync(fd);
      }
      renameSync(`${this.#path}.tmp`, this.#path);
      this.#written = text;
    } catch {
      // The next change tries again.
    }
  }
}

export function comparePositions(a: Position, b: Position): number {
  return a.sequence - b.sequence || a.offset - b.offset;
}
