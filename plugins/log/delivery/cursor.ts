/** How far a log has been sent, kept in a small file beside it. Losing it means sending lines twice, never losing some. */
import { FixedRecord } from '../files/fixed-record.ts';

/** A block of a journal file: what lies before it has been sent. */
export interface Position {
  readonly sequence: number;
  readonly offset: number;
}

/** What the file says: the position, and lines dropped there that no server has been told of yet. */
export interface CursorState extends Position {
  readonly droppedLines: number;
  readonly droppedBytes: number;
  /** Of the container, over restarts. */
  readonly droppedLinesTotal: number;
}

const recordBytes = 128;
const pattern = /^(\d+) (\d+) (\d+) (\d+)(?: (\d+))?$/;

export class CursorFile {
  readonly #record: FixedRecord;

  constructor(path: string) {
    this.#record = new FixedRecord(path, recordBytes);
  }

  read(): CursorState | undefined {
    const [, sequence, offset, lines, bytes, total] = pattern.exec(this.#record.read() ?? '') ?? [];
    if (sequence === undefined) return undefined;
    return {
      sequence: Number(sequence),
      offset: Number(offset),
      droppedLines: Number(lines),
      droppedBytes: Number(bytes),
      droppedLinesTotal: Number(total ?? lines),
    };
  }

  write(state: CursorState): void {
    const { sequence, offset, droppedLines, droppedBytes, droppedLinesTotal } = state;
    this.#record.write(`${sequence} ${offset} ${droppedLines} ${droppedBytes} ${droppedLinesTotal}`);
  }
}

export function comparePositions(a: Position, b: Position): number {
  return a.sequence - b.sequence || a.offset - b.offset;
}
