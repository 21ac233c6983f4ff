/**
 * Looks at an engine again and again: at once when it can be reached, soon after each of its events, and from time to time
 * anyway. What "look" means is the caller's: the IPAM compares addresses, DNS learns names.
 *
 *     no socket, or refused ──retry──► events stream open ──► look ──► event, or time ──► look …
 *                 ▲                                │
 *                 └──────────── engine ends ◄──────┘
 */
import { type EngineEvent, followEvents } from './engine-api.ts';

export interface EngineWatchOptions {
  readonly socketPath: string;
  /** Of `GET /events`: `{ type: ['network'] }`. */
  readonly filters: Readonly<Record<string, readonly string[]>>;
  /** One at a time; an error is told to `onError` and the next look comes as usual. */
  readonly look: (signal: AbortSignal) => Promise<void>;
  readonly onEvent?: (event: EngineEvent) => void;
  /** The engine was lost, or a look failed. A socket that does not exist is no error. */
  readonly onError: (error: unknown) => void;
  readonly intervalMs: number;
  /** From an event to the look, so that a burst of them is one look. Default 1000. */
  readonly settleMs?: number;
}

const retryMs = 2000;

/** Watches until it is closed. */
export function watchEngine(options: EngineWatchOptions): { close(): void } {
  const watch = new EngineWatch(options);
  return { close: () => watch.close() };
}

class EngineWatch {
  readonly #options: EngineWatchOptions;
  readonly #end = new AbortController();
  #looking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #due = Number.POSITIVE_INFINITY;

  constructor(options: EngineWatchOptions) {
    this.#options = options;
    void this.#follow();
  }

  close(): void {
    this.#end.abort();
    clearTimeout(this.#timer);
  }

  async #follow(): Promise<void> {
    const { socketPath, filters, settleMs = 1000 } = this.#options;
    const handlers = {
      onOpen: () => this.#lookIn(0),
      onEvent: (event: EngineEvent) => {
        this.#options.onEvent?.(event);
        this.#lookIn(settleMs);
      },
    };
    while (!this.#end.signal.aborted) {
      try {
        await followEvents(socketPath, filters, handlers, this.#end.signal);
      } catch (error) {
        if (!this.#end.signal.aborted && !isMissing(error)) this.#options.onError(error);
      }
      // Nobody to look at until the stream is open again.
      clearTimeout(this.#timer);
      this.#due = Number.POSITIVE_INFINITY;
      await this.#pause(retryMs);
    }
  }

  #lookIn(delayMs: number): void {
    const due = Date.now() + delayMs;
    if (due >= this.#due || this.#end.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => void this.#look(), delayMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    this.#due = Number.POSITIVE_INFINITY;
    if (this.#looking === undefined) {
      this.#looking = this.#options.look(this.#end.signal).catch((error: unknown) => {
        if (!this.#end.signal.aborted) this.#options.onError(error);
      });
      await this.#looking;
      this.#looking = undefined;
      this.#lookIn(this.#options.intervalMs);
    } else {
      // An event during a look may have come too late for it.
      this.#lookIn(this.#options.settleMs ?? 1000);
    }
  }

  #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    timer.unref();
    this.#end.signal.addEventListener('abort', () => resolve(), { once: true });
    return promise;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
