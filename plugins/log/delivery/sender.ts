/**
 * Sends a journal to a server and goes on where it was: after a failure, after a restart, after the container is gone.
 *
 * ```
 *  journal ──read──► assemble ──format──► batch ──send──► server
 *     ▲                                                     │
 *     └── confirmed position (cursor file) ◄── acknowledged ┘      everything behind it is sent again over a new connection
 * ```
 *
 * It never makes anybody wait: the container's lines are on disk before this side hears of them.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { JournalWriter } from '../journal/writer.ts';
import type { GrowingLog } from '../read-log.ts';
import { Acknowledgements } from './acknowledge.ts';
import { type AssembleOptions, Assembler } from './assemble.ts';
import type { Connection, Connector } from './connection.ts';
import { CursorFile, comparePositions, type Position } from './cursor.ts';
import type { Delivery, DeliveryStats } from './delivery.ts';
import { DropNotice } from './drop-notice.ts';
import { type Message, type MessageFormat, WireBatch } from './message.ts';
import { Spool } from './spool.ts';

export type SpoolPolicy = 'block' | 'oldest' | 'newest';

export interface SenderOptions {
  readonly journal: JournalWriter;
  readonly cursorPath: string;
  /** In the order of preference; the next one is tried when one fails. */
  readonly connectors: readonly Connector[];
  readonly format: MessageFormat;
  readonly assemble: AssembleOptions;
  /** How long acknowledged bytes must have stood; see acknowledge.ts. */
  readonly acknowledgeLagMs: number;
  readonly spool: { readonly maxBytes: number; readonly policy: SpoolPolicy };
  readonly onWarning: (fields: object, message: string) => void;
}

const batchBytes = 64 * 1024;
const mostEntries = 4096;
const connectMs = 5000;
/** A server that has taken nothing for so long, although it should, is given up. */
const stallMs = 10_000;
const checkMs = 200;
const firstBackoffMs = 100;
const longestBackoffMs = 30_000;
const cursorWriteMs = 1000;

/** The peer has not taken what it was given. */
class StalledError extends Error {}

export class Sender implements Delivery {
  readonly #options: SenderOptions;
  readonly #spool: Spool;
  readonly #cursor: CursorFile;
  readonly #assembler: Assembler;
  readonly #acknowledgements: Acknowledgements;
  readonly #batch = new WireBatch(batchBytes);
  #growing: GrowingLog | undefined;
  #stopping: AbortController | undefined;
  #wake: (() => void) | undefined;
  #woken = false;
  #read: Position;
  #confirmed: Position;
  #cursorWrittenAt = 0;
  /** Lines lost before the read position. */
  readonly #notice: DropNotice;
  #server = 0;
  #connection: Connection | undefined;
  #stats = { sentLines: 0, sentBytes: 0, reconnects: 0, droppedLines: 0 };
  #lastError: string | undefined;
  #failures = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#spool = new Spool(options.journal);
    this.#cursor = new CursorFile(options.cursorPath);
    this.#assembler = new Assembler(options.assemble, (message) => this.#add(message));
    this.#acknowledgements = new Acknowledgements(options.acknowledgeLagMs);
    const state = this.#cursor.read();
    this.#confirmed = this.#read = this.#sane(state ?? this.#spool.start);
    this.#notice = new DropNotice({ lines: state?.droppedLines ?? 0, bytes: state?.droppedBytes ?? 0 });
    this.#stats.droppedLines = state?.droppedLinesTotal ?? 0;
    // Made now: when lines have to be dropped, the disk may have no room for it.
    this.#writeCursor(true);
  }

  start(growing: GrowingLog): void {
    this.#growing = growing;
    if (this.#stopping !== undefined) return;
    this.#stopping = new AbortController();
    void this.#run(this.#stopping.signal);
  }

  notify(): void {
    this.#bound();
    this.#woken = true;
    this.#wake?.();
  }

  stop(): void {
    this.#stopping?.abort();
    this.#stopping = undefined;
    this.#wake?.();
    this.#connection?.close();
    this.#connection = undefined;
    this.#spool.close();
    this.#writeCursor(true);
  }

  get caughtUp(): boolean {
    return this.#spool.bytesAfter(this.#confirmed) === 0 && !this.#notice.waiting && !this.#assembler.pending;
  }

  get accepts(): boolean {
    return this.#options.spool.policy !== 'block' || !this.#full;
  }

  get refusesNew(): boolean {
    return this.#options.spool.policy === 'newest' && this.#full;
  }

  /** Journal files whose lines a server has. */
  isSent(sequence: number): boolean {
    return sequence < this.#confirmed.sequence;
  }

  stats(): DeliveryStats {
    const spooledBytes = this.#spool.bytesAfter(this.#confirmed);
    return {
      destination: this.#options.connectors.map(({ server }) => server).join(','),
      ...this.#stats,
      spooledBytes,
      lagMs: spooledBytes === 0 ? 0 : Math.max(0, Date.now() - (this.#spool.timeAt(this.#confirmed) ?? Date.now())),
      connected: this.#connection !== undefined,
      lastError: this.#lastError,
    };
  }

  get #full(): boolean {
    return this.#spool.bytesAfter(this.#confirmed) >= this.#options.spool.maxBytes;
  }

  /** A cursor of another life: retention removed what it points to, perhaps everything, and counting began again. */
  #sane(position: Position): Position {
    const { files } = this.#options.journal;
    const known = files.find(position.sequence) !== undefined;
    return known ? { sequence: position.sequence, offset: position.offset } : this.#spool.start;
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (!(await this.#waitForWork(signal))) continue;
        await this.#serve(signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#failed(error, signal);
      }
    }
  }

  /** Connects lazily: only when there is something to send. */
  async #waitForWork(signal: AbortSignal): Promise<boolean> {
    if (this.#spool.bytesAfter(this.#read) > 0 || this.#notice.waiting) return true;
    await this.#sleep(undefined, signal);
    return false;
  }

  async #serve(signal: AbortSignal): Promise<void> {
    const connector = this.#options.connectors[this.#server % this.#options.connectors.length];
    if (connector === undefined) return;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(connectMs)]);
    const connection = await connector.connect(deadline);
    this.#connection = connection;
    this.#acknowledgements.reset(this.#read);
    const pumping = this.#pump(connection, signal);
    try {
      await Promise.race([pumping, connection.failed]);
    } finally {
      this.#connection = undefined;
      connection.close();
      this.#wake?.();
      // Two pumps never share the batch.
      await pumping.catch(() => {});
    }
  }

  async #pump(connection: Connection, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.#connection === connection) {
      const before = this.#read;
      this.#fill();
      let moved = this.#read !== before || this.#batch.length > 0;
      if (!moved && this.#assembler.pending) {
        this.#assembler.flush(this.#growing?.ended ?? true);
        moved = this.#batch.length > 0;
      }
      if (moved) await this.#send(connection);
      this.#confirm(connection);
      if (moved) continue;
      const waits = this.#acknowledgements.pending || this.#assembler.pending;
      this.#batch.release();
      await this.#sleep(waits ? checkMs : undefined, signal);
    }
  }

  #fill(): void {
    this.#batch.clear();
    if (this.#notice.waiting) this.#add(this.#notice.take());
    // Lines that are not sent (empty ones, unfinished ones) fill no batch: they must not keep the event loop either.
    let entries = 0;
    this.#read = this.#spool.read(
      this.#read,
      (frame, origin) => {
        entries++;
        this.#assembler.add(frame, origin);
      },
      () => this.#batch.length < batchBytes && entries < mostEntries,
    );
  }

  async #send(connection: Connection): Promise<void> {
    const { length, ends, messages, lineBytes } = this.#batch;
    const sending = length === 0 ? Promise.resolve() : connection.send(this.#batch.buffer, length, ends);
    let taken = false;
    const done = sending.then(() => {
      taken = true;
    });
    while (!taken) {
      let timer: NodeJS.Timeout | undefined;
      const tick = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, checkMs);
      });
      await Promise.race([done, tick]);
      clearTimeout(timer);
      if (!taken) this.#confirm(connection);
    }
    // Datagrams go out at once: the FIFOs must have their turn all the same.
    await nextTurn();
    this.#stats.sentLines += messages;
    this.#stats.sentBytes += lineBytes;
    this.#acknowledgements.sent(length, this.#assembler.oldest ?? this.#read);
    this.#batch.clear();
  }

  #confirm(connection: Connection): void {
    const confirmed = this.#acknowledgements.confirm(connection);
    if (confirmed !== undefined) this.#advance(confirmed);
    if (this.#acknowledgements.stalledMs > stallMs) {
      throw new StalledError(`${connection.peer} has taken nothing for ${stallMs / 1000} s`);
    }
  }

  #advance(position: Position): void {
    if (comparePositions(position, this.#confirmed) <= 0) return;
    const newFile = position.sequence !== this.#confirmed.sequence;
    this.#confirmed = position;
    this.#notice.confirmed();
    this.#failures = 0;
    this.#lastError = undefined;
    this.#writeCursor(false);
    if (newFile) this.#options.journal.trim();
  }

  async #failed(error: unknown, signal: AbortSignal): Promise<void> {
    const text = error instanceof Error ? error.message : String(error);
    const server = this.#options.connectors[this.#server % this.#options.connectors.length]?.server;
    if (text !== this.#lastError) this.#options.onWarning({ server, error: text }, 'log server failed');
    this.#lastError = text;
    this.#stats.reconnects++;
    this.#notice.failed();
    this.#goBack(error);
    this.#read = this.#confirmed;
    this.#assembler.clear();
    this.#batch.clear();
    this.#server = (this.#server + 1) % this.#options.connectors.length;
    // The other servers are tried at once; then there is a pause that doubles, with jitter, so that not all come back together.
    const round = Math.floor(this.#failures / this.#options.connectors.length);
    this.#failures++;
    if (this.#failures % this.#options.connectors.length !== 0) return;
    const backoff = Math.min(longestBackoffMs, firstBackoffMs * 2 ** Math.min(round, 20)) * (0.5 + Math.random());
    const until = performance.now() + backoff;
    while (!signal.aborted && performance.now() < until) await this.#sleep(until - performance.now(), signal);
  }

  /** What the peer's kernel has and the peer may never have read is sent again, as far as it is still here. */
  #goBack(error: unknown): void {
    // A peer that closes with something unread resets the connection; one that has read all ends it. RFC 1122 §4.2.2.13
    const reset = (error as NodeJS.ErrnoException).code === 'ECONNRESET';
    if (!reset && !(error instanceof StalledError)) return;
    const doubtful = this.#acknowledgements.doubtful(reset ? 'reset' : 'stalled');
    if (doubtful === undefined || comparePositions(doubtful, this.#confirmed) >= 0) return;
    const { start } = this.#spool;
    this.#confirmed = comparePositions(doubtful, start) < 0 ? start : doubtful;
    this.#writeCursor(true);
  }

  #add(message: Message): void {
    const { length } = this.#batch;
    this.#options.format.add(message, this.#batch);
    if (this.#batch.length === length) return;
    this.#batch.messages++;
    this.#batch.lineBytes += message.line.length;
  }

  /** drop=oldest: gives up whole files from the front until the spool is within its bound. */
  #bound(): void {
    if (this.#options.spool.policy !== 'oldest') return;
    while (this.#full) if (!this.dropOldest()) return;
  }

  dropOldest(): boolean {
    return this.#spool.dropOldest(this.#confirmed, (lost, position) => {
      this.#confirmed = position;
      if (comparePositions(position, this.#read) > 0) this.#read = position;
      this.#notice.add(lost);
      this.#stats.droppedLines += lost.lines;
      this.#writeCursor(true);
    });
  }

  #writeCursor(now: boolean): void {
    const time = performance.now();
    if (!now && time - this.#cursorWrittenAt < cursorWriteMs) return;
    this.#cursorWrittenAt = time;
    const { lines, bytes } = this.#notice.open;
    const droppedLinesTotal = this.#stats.droppedLines;
    this.#cursor.write({ ...this.#confirmed, droppedLines: lines, droppedBytes: bytes, droppedLinesTotal });
  }

  /** Until notified, aborted, or the time is over. */
  async #sleep(ms: number | undefined, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    if (this.#woken) {
      this.#woken = false;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
    await promise;
    clearTimeout(timer);
    this.#wake = undefined;
    this.#woken = false;
  }
}
