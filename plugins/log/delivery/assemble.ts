/**
 * Makes messages out of entries: pieces of a long line are joined by their metadata, and lines that belong together (a stack
 * trace) by the container's rule. What waits for its end is bounded in bytes and time.
 */
import type { LogFrame } from '../../sdk/protocol/log-entry.ts';
import type { MultilineRule } from '../multiline.ts';
import { comparePositions, type Position } from './cursor.ts';
import type { Message, MessagePart } from './message.ts';

export interface AssembleOptions {
  /** A longer line is sent in parts. */
  readonly maxBytes: number;
  /** How long the next piece of a line may take. */
  readonly partialTimeoutMs: number;
  readonly multiline: MultilineRule | undefined;
}

interface Open {
  readonly stderr: boolean;
  readonly timeHigh: number;
  readonly timeLow: number;
  readonly pieces: Buffer[];
  /** The block that its first piece came from. */
  readonly origin: Position;
  bytes: number;
  /** When the last piece came, performance.now(). */
  touched: number;
}

interface OpenLine extends Open {
  readonly id: string;
  parts: number;
}

export class Assembler {
  readonly #options: AssembleOptions;
  readonly #emit: (message: Message) => void;
  /** Lines whose pieces are still coming, by their id and source. */
  readonly #lines = new Map<string, OpenLine>();
  /** Messages of several lines that may go on, by source. */
  readonly #events = new Map<boolean, Open>();

  constructor(options: AssembleOptions, emit: (message: Message) => void) {
    this.#options = options;
    this.#emit = emit;
  }

  /** The earliest block that something waits from for its end; undefined when nothing waits. */
  get oldest(): Position | undefined {
    let oldest: Position | undefined;
    for (const { origin } of [...this.#lines.values(), ...this.#events.values()]) {
      if (oldest === undefined || comparePositions(origin, oldest) < 0) oldest = origin;
    }
    return oldest;
  }

  get pending(): boolean {
    return this.#lines.size > 0 || this.#events.size > 0;
  }

  /** The frame's buffer may be reused afterwards. `origin`: the block that it is in. */
  add(frame: LogFrame, origin: Position): void {
    const { isStderr: stderr, timeHigh, timeLow } = frame;
    if (!frame.partial && frame.lineEnd - frame.lineStart <= this.#options.maxBytes) {
      // The line is copied only when it has to wait.
      this.#line({ stderr, timeHigh, timeLow, line: frame.line, part: undefined }, origin);
      return;
    }
    const id = frame.partialId;
    const key = `${stderr ? 'e' : 'o'}${id}`;
    const started = { stderr, timeHigh, timeLow, id, origin, pieces: [], bytes: 0, touched: 0, parts: 0 };
    const open: OpenLine = this.#lines.get(key) ?? started;
    open.touched = performance.now();
    open.pieces.push(Buffer.from(frame.line));
    open.bytes += frame.lineEnd - frame.lineStart;
    this.#lines.set(key, open);
    while (open.bytes > this.#options.maxBytes) this.#emitPart(open, this.#options.maxBytes, false);
    if (!frame.partial || frame.last) this.#endLine(key, open);
  }

  /** Ends what has waited too long; with `all`, everything: nothing will follow. */
  flush(all: boolean): void {
    const now = performance.now();
    for (const [key, open] of this.#lines) {
      if (all) this.#endLine(key, open);
      else if (now - open.touched >= this.#options.partialTimeoutMs) {
        this.#emitPart(open, open.bytes, false);
        this.#lines.delete(key);
      }
    }
    for (const [stderr, open] of this.#events) {
      if (all || now - open.touched >= (this.#options.multiline?.timeoutMs ?? 0)) this.#endEvent(stderr);
    }
  }

  /** Forgets what waits: it will be read again. */
  clear(): void {
    this.#lines.clear();
    this.#events.clear();
  }

  #endLine(key: string, open: OpenLine): void {
    this.#lines.delete(key);
    if (open.parts > 0) this.#emitPart(open, open.bytes, true);
    else this.#line({ ...open, line: Buffer.concat(open.pieces), part: undefined }, open.origin);
  }

  #emitPart(open: OpenLine, bytes: number, last: boolean): void {
    const whole = Buffer.concat(open.pieces);
    open.pieces.length = 0;
    open.pieces.push(whole.subarray(bytes));
    open.bytes = whole.length - bytes;
    open.parts++;
    const part: MessagePart = { id: open.id, ordinal: open.parts, last };
    this.#endEvent(open.stderr);
    this.#emit({ ...open, line: whole.subarray(0, bytes), part });
  }

  #line(message: Message, origin: Position): void {
    const rule = this.#options.multiline;
    if (rule === undefined) {
      this.#emit(message);
      return;
    }
    const { stderr, line } = message;
    const open = this.#events.get(stderr);
    if (open && open.bytes + line.length < this.#options.maxBytes && rule.continues(line)) {
      open.pieces.push(Buffer.from('\n'), Buffer.from(line));
      open.bytes += line.length + 1;
      open.touched = performance.now();
      return;
    }
    this.#endEvent(stderr);
    const pieces = [Buffer.from(line)];
    this.#events.set(stderr, { ...message, origin, pieces, bytes: line.length, touched: performance.now() });
  }

  #endEvent(stderr: boolean): void {
    const open = this.#events.get(stderr);
    if (open === undefined) return;
    this.#events.delete(stderr);
    this.#emit({ ...open, line: Buffer.concat(open.pieces), part: undefined });
  }
}
