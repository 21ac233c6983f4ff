/** A journal as the queue of what has to be sent: reads it block by block from a position, and gives up its oldest part when it must. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import type { LogFrame } from '../../sdk/protocol/log-entry.ts';
import type { DropCount } from '../drops.ts';
import { openPlain, type PlainFile } from '../files/file-chunks.ts';
import type { LogFile } from '../files/log-files.ts';
import { JournalScanner } from '../journal/block.ts';
import type { JournalWriter } from '../journal/writer.ts';
import { toMillis } from '../nano-time.ts';
import type { Position } from './cursor.ts';

/** Shared by all spools: filled and used within one call. */
let buffer: Buffer = Buffer.allocUnsafe(256 * 1024);

export class Spool {
  readonly journal: JournalWriter;
  damagedBytes = 0;
  readonly #scanner = new JournalScanner();
  readonly #sizes = new Map<number, number>();
  #file: PlainFile | undefined;
  #sequence = -1;

  constructor(journal: JournalWriter) {
    this.journal = journal;
  }

  /** The start of what there is, or of what will be. */
  get start(): Position {
    return { sequence: this.journal.files.all[0]?.sequence ?? 1, offset: 0 };
  }

  /**
   * Hands out the frames of blocks from the position on while `more` says so, always whole blocks. `more` changes its mind only
   * through what it was handed. Returns the position behind them; the same one when there is nothing new.
   */
  read(from: Position, visit: (frame: LogFrame, origin: Position) => void, more: () => boolean): Position {
    let position = from;
    while (more()) {
      const file = this.#open(position.sequence);
      if (file === undefined) {
        // Removed, or not made yet.
        const next = this.journal.files.after(position.sequence);
        if (next === undefined) return position;
        position = { sequence: next.sequence, offset: 0 };
        continue;
      }
      const newest = this.journal.files.newest?.sequence === position.sequence;
      const read = file.read(buffer, 0, position.offset);
      const before = position;
      position = this.#blocks(position, read, !newest && read < buffer.length, visit, more);
      if (position !== before) continue;
      if (read === buffer.length) buffer = Buffer.allocUnsafe(2 * buffer.length);
      else if (newest) return position;
      else
        position = {
          sequence: this.journal.files.after(position.sequence)?.sequence ?? position.sequence + 1,
          offset: 0,
        };
    }
    return position;
  }

  /** When the first line behind the position was written, ms since 1970; undefined when there is none. */
  timeAt(position: Position): number | undefined {
    let timeMs: number | undefined;
    this.read(
      position,
      ({ timeHigh, timeLow }) => {
        timeMs ??= toMillis(timeHigh, timeLow);
      },
      () => timeMs === undefined,
    );
    return timeMs;
  }

  /** Bytes on disk behind the position. */
  bytesAfter(position: Position): number {
    const { files, active } = this.journal;
    let bytes = 0;
    for (const file of files.all) {
      if (file.sequence < position.sequence) continue;
      const size = file === active.file ? active.size : this.#sizeOf(file);
      bytes += file.sequence === position.sequence ? Math.max(0, size - position.offset) : size;
    }
    return bytes;
  }

  /**
   * Gives up the oldest file: counts what is in it behind the position, has that written down, then removes it. `account` gets what is
   * lost and the new position. False when nothing was lost.
   */
  dropOldest(position: Position, account: (lost: DropCount, position: Position) => void): boolean {
    const { files, active } = this.journal;
    const [oldest] = files.all;
    if (oldest === undefined) return false;
    if (oldest === active.file || files.all.length === 1) active.rotate();
    const unsent = oldest.sequence >= position.sequence;
    if (unsent) {
      const lost = { lines: 0, bytes: 0 };
      this.#count(oldest, oldest.sequence === position.sequence ? position.offset : 0, lost);
      account(lost, { sequence: files.after(oldest.sequence)?.sequence ?? oldest.sequence + 1, offset: 0 });
    }
    if (!oldest.removed) files.removeOldest();
    this.close();
    return unsent;
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
    this.#sequence = -1;
  }

  #blocks(
    from: Position,
    read: number,
    atEnd: boolean,
    visit: (frame: LogFrame, origin: Position) => void,
    more: () => boolean,
  ): Position {
    const scanner = this.#scanner;
    scanner.reset(buffer, 0, read, atEnd);
    let position = from;
    while (more() && scanner.enterBlock()) {
      const origin = position;
      while (scanner.frames.next()) visit(scanner.frames.frame, origin);
      position = { sequence: from.sequence, offset: from.offset + scanner.blockEnd };
    }
    if (scanner.damagedBytes > 0) {
      this.damagedBytes += scanner.damagedBytes;
      scanner.damagedBytes = 0;
      if (position === from && scanner.position > 0)
        position = { sequence: from.sequence, offset: from.offset + scanner.position };
    }
    return position;
  }

  #open(sequence: number): PlainFile | undefined {
    if (this.#sequence === sequence) return this.#file;
    this.close();
    const file = this.journal.files.find(sequence);
    if (file === undefined || file.compressed) return undefined;
    try {
      this.#file = openPlain(file);
      if (this.#file !== undefined) this.#sequence = sequence;
    } catch {
      return undefined;
    }
    return this.#file;
  }

  /** Files that are not written any more keep their size. */
  #sizeOf(file: LogFile): number {
    const known = this.#sizes.get(file.sequence);
    if (known !== undefined) return known;
    const size = statSync(file.path, { throwIfNoEntry: false })?.size ?? 0;
    if (file !== this.journal.files.newest) this.#sizes.set(file.sequence, size);
    return size;
  }

  #count(file: LogFile, from: number, lost: { lines: number; bytes: number }): void {
    const fd = openSync(file.path, 'r');
    try {
      const scanner = new JournalScanner();
      for (let offset = from; ; ) {
        const read = readSync(fd, buffer, 0, buffer.length, offset);
        if (read === 0) return;
        scanner.reset(buffer, 0, read, read < buffer.length);
        while (scanner.next()) {
          const { frame } = scanner.frames;
          lost.lines++;
          lost.bytes += frame.lineEnd - frame.lineStart;
        }
        if (scanner.position === 0) buffer = Buffer.allocUnsafe(2 * buffer.length);
        offset += scanner.position;
      }
    } finally {
      closeSync(fd);
    }
  }
}
