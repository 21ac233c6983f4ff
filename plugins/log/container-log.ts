/**
 * The log of one container while anything happens to it: a session writes to it, someone follows it, or lines wait to be sent.
 * Several sessions may overlap; each file has one writer.
 */
import type { LogFrameScanner } from '../sdk/protocol/log-frame-scanner.ts';
import type { Delivery } from './delivery/delivery.ts';
import { Drops } from './drops.ts';
import type { LogFiles } from './files/log-files.ts';
import type { RecordScanner } from './files/record-scanner.ts';
import type { LogWriter } from './log-writer.ts';
import type { GrowingLog, LogSource } from './read-log.ts';

export interface ContainerLogOptions {
  readonly containerId: string;
  readonly containerName: string;
  readonly driver: string;
  readonly writer: LogWriter;
  /** Where drops are counted. */
  readonly dropsPath: string;
  /** Sends on what the writer wrote; absent for logs that stay here. */
  readonly delivery?: Delivery;
  /** A disk that is full may be helped by deleting old logs: true when something was deleted. */
  readonly makeRoom: () => boolean;
  readonly onError: (error: unknown, what: string) => void;
}

export class ContainerLog implements GrowingLog, LogSource {
  readonly containerId: string;
  readonly containerName: string;
  readonly driver: string;
  readonly writer: LogWriter;
  readonly delivery: Delivery | undefined;
  readonly drops: Drops;
  /** What was no frame on the FIFO: places and bytes. */
  readonly damaged = { places: 0, bytes: 0 };
  readonly #options: ContainerLogOptions;
  readonly #release: () => void;
  readonly #sessions = new Set<unknown>();
  readonly #waiting = new Set<() => void>();
  #failing = false;

  constructor(options: ContainerLogOptions) {
    this.#options = options;
    this.containerId = options.containerId;
    this.containerName = options.containerName;
    this.driver = options.driver;
    this.writer = options.writer;
    this.delivery = options.delivery;
    this.drops = new Drops(options.dropsPath);
    this.#release = this.files.hold();
  }

  get files(): LogFiles {
    return this.writer.files;
  }

  recordScanner(): RecordScanner {
    return this.writer.recordScanner();
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  get ended(): boolean {
    return this.#sessions.size === 0;
  }

  /** Whether nothing needs this object any more: no session, no follower, nothing to send. */
  get idle(): boolean {
    return this.ended && this.#waiting.size === 0 && !this.drops.pending && (this.delivery?.caughtUp ?? true);
  }

  attach(session: unknown): void {
    this.#sessions.add(session);
    this.writer.finish?.(false);
    this.delivery?.start(this);
  }

  detach(session: unknown): void {
    if (!this.#sessions.delete(session)) return;
    this.notify();
    this.delivery?.notify();
  }

  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => {
      this.#waiting.delete(done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    this.#waiting.add(done);
    signal.addEventListener('abort', done, { once: true });
    return promise;
  }

  notify(): void {
    for (const done of [...this.#waiting]) done();
  }

  /** False while the container has to wait until the server has taken what is on disk (mode=blocking). */
  get accepts(): boolean {
    return this.delivery?.accepts ?? true;
  }

  /**
   * Takes the scanner's entries to disk and returns up to where they are there, or dropped and accounted for. Never throws:
   * a disk that says no costs lines, not the container.
   */
  take(scanner: LogFrameScanner): number {
    if (this.delivery?.refusesNew) return this.#drop(scanner, 'the spool is full');
    const start = scanner.position;
    let telling = this.drops.pending;
    try {
      if (telling) this.writer.write(this.drops.record());
      if (telling) this.drops.told();
      telling = false;
      const position = this.writer.write(scanner);
      this.#failing = false;
      this.#wrote();
      return position;
    } catch (error) {
      return this.#failed(scanner, telling ? start : this.writer.safePosition, error);
    }
  }

  /** A session met something that nobody expects. */
  failed(error: unknown): void {
    this.#options.onError(error, 'a log session failed for now');
  }

  /** Tells what was dropped when no further line does: called from time to time. */
  settle(): void {
    if (!this.drops.pending || this.delivery?.refusesNew) return;
    try {
      this.writer.write(this.drops.record());
      this.drops.told();
      this.#wrote();
    } catch {
      // Still no room; the next time.
    }
  }

  close(): void {
    this.delivery?.stop();
    this.writer.close();
    this.#release();
    this.notify();
  }

  #wrote(): void {
    if (this.#waiting.size > 0) this.notify();
    this.delivery?.notify();
  }

  #failed(scanner: LogFrameScanner, safe: number, error: unknown): number {
    scanner.reset(scanner.buffer, safe, scanner.position + scanner.restBytes);
    if (this.#options.makeRoom()) return safe;
    if (!this.#failing) this.#options.onError(error, 'entries cannot be written');
    this.#failing = true;
    return this.#drop(scanner, reasonOf(error));
  }

  #drop(scanner: LogFrameScanner, reason: string): number {
    let lines = 0;
    let bytes = 0;
    while (scanner.next()) {
      lines++;
      bytes += scanner.frame.lineEnd - scanner.frame.lineStart;
    }
    this.drops.add(lines, bytes, reason);
    return scanner.position;
  }
}

function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOSPC') return 'no space left on the device';
  if (code === 'EDQUOT') return 'the disk quota is exceeded';
  return error instanceof Error ? error.message : String(error);
}
