/**
 * One StartLogging: reads the session's FIFO into the container's log. Entries leave the pipe only when they are in the file, so a
 * process that is killed finds them again. One turn takes a bounded number of bytes, and every FIFO gets its turn in each round of
 * the event loop: a loud container cannot starve the others.
 */
import { setImmediate as nextRound, setTimeout as pause } from 'node:timers/promises';
import { FifoReader } from '../linux/fifo.ts';
import { LogFrameScanner } from '../sdk/protocol/log-frame-scanner.ts';
import type { ContainerLog } from './container-log.ts';
import { Pace, smallTurnBytes } from './pace.ts';

export const turnBytes = 128 * 1024;
/** A frame that has begun and does not grow for this long never ends. */
const stalledMs = 1000;
/** While the container has to wait (mode=blocking), how often the spool is looked at. */
const fullRetryMs = 50;
/** The rest of a frame, or of an event, is looked for after so long. */
const frameMs = 5;
/** After a failure that nobody expects. */
const failedMs = 1000;

/** Shared by all sessions: empty between two turns. */
const scanner = new LogFrameScanner();

export type TurnResult = 'more' | 'empty' | 'waiting' | 'ended' | 'failed';

export class Session {
  readonly file: string;
  readonly container: ContainerLog;
  /** An earlier process read from the FIFO. */
  readonly reattached: boolean;
  readonly #fifo: FifoReader;
  readonly #onEnd: (session: Session) => void;
  readonly #pace = new Pace();
  #timer: NodeJS.Timeout | undefined;
  #open = true;
  #stopped = false;
  #draining = false;
  /** The entry that the file ended with when an earlier process left may still be in the pipe. */
  #maybeWritten: boolean;
  #stalled: { readonly bytes: number; readonly since: number } | undefined;

  /** Throws when the FIFO cannot be opened. */
  constructor(
    file: string,
    container: ContainerLog,
    options: { readonly reattached: boolean; readonly onEnd: (session: Session) => void },
  ) {
    this.file = file;
    this.container = container;
    this.#onEnd = options.onEnd;
    this.#maybeWritten = this.reattached = options.reattached;
    this.#fifo = new FifoReader(file, this.#onReadable);
    container.attach(this);
  }

  /**
   * Takes everything that is in the pipe, for StopLogging: the engine has written all it will, and closes its end only after
   * the answer. Returns at the deadline in any case; what is left is read on.
   */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    this.container.writer.finish?.(true);
    const until = performance.now() + deadlineMs;
    while (this.#open && performance.now() < until) {
      const result = this.turn();
      if (result === 'empty' || result === 'ended' || result === 'failed') break;
      await (result === 'more' ? nextRound() : pause(5));
    }
  }

  /** The engine's word that nothing will follow: followers end. The FIFO is read to its end all the same. */
  stop(): void {
    this.#stopped = true;
    this.container.detach(this);
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Never throws: it is called by the event loop, and one FIFO's trouble is not the others'. */
  turn(): TurnResult {
    try {
      return this.#turn();
    } catch (error) {
      this.container.failed(error);
      return 'failed';
    }
  }

  #turn(): TurnResult {
    if (!this.#open) return 'ended';
    // What is in the pipe when the container stops is taken even beyond a full spool.
    if (!this.container.accepts && !this.#draining) return 'waiting';
    let peeked = this.#fifo.peek(turnBytes);
    const { writer } = this.container;
    if (peeked.kind === 'data' && (this.#stalled || writer.holding) && peeked.data.length === turnBytes) {
      // An unfinished frame, or an event, that is larger than a turn.
      peeked = this.#fifo.peek(this.#fifo.capacity);
    }
    if (peeked.kind === 'ended') {
      this.close();
      return 'ended';
    }
    if (peeked.kind === 'empty') return 'empty';
    const { data } = peeked;
    this.#pace.found(data.length);
    scanner.reset(data, 0, data.length);
    if (this.#maybeWritten) this.#passOverWritten(data);
    let used = this.container.take(scanner);
    if (used > 0 || writer.holding) this.#stalled = undefined;
    else used = this.#unfinished(data);
    this.#countDamage();
    if (used > 0) this.#fifo.consume(used);
    if (used === 0 || writer.holding) return 'waiting';
    return used < data.length || data.length >= smallTurnBytes ? 'more' : 'empty';
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearTimeout(this.#timer);
    this.#fifo.close();
    this.container.detach(this);
    this.#onEnd(this);
  }

  readonly #onReadable = (): void => {
    const result = this.turn();
    if (result === 'more' || result === 'ended') return;
    this.#fifo.pause();
    const waitMs = this.container.accepts ? frameMs : fullRetryMs;
    const delay = result === 'failed' ? failedMs : result === 'waiting' ? waitMs : this.#pace.pauseMs();
    this.#timer = setTimeout(() => this.#fifo.resume(), delay);
  };

  /** Nothing usable yet: 0 to wait for the rest of the frame, or the bytes that will never become one. */
  #unfinished(data: Buffer): number {
    const now = performance.now();
    if (this.#stalled?.bytes !== data.length) this.#stalled = { bytes: data.length, since: now };
    if (now - this.#stalled.since < stalledMs && data.length < this.#fifo.capacity) return 0;
    this.#stalled = undefined;
    scanner.reset(data, 0, data.length);
    scanner.skipRest();
    return scanner.position;
  }

  /** A batch is written and then taken out of the pipe; a process that died in between left it in both places. */
  #passOverWritten(data: Buffer): void {
    this.#maybeWritten = false;
    let position = 0;
    try {
      while (scanner.next()) if (this.container.writer.endsWith(scanner.frame)) position = scanner.position;
    } catch {
      // The log cannot be opened now: at worst some lines are there twice.
    }
    scanner.reset(data, position, data.length);
  }

  #countDamage(): void {
    if (scanner.damages === 0 && scanner.skippedBytes === 0) return;
    this.container.damaged.places += scanner.damages;
    this.container.damaged.bytes += scanner.skippedBytes;
    scanner.damages = scanner.skippedBytes = 0;
  }
}
