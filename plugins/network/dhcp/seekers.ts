/** Leases that could not be had while an engine waited: asked for again in the background, for as long as a server may be away. */
import { setTimeout as delay } from 'node:timers/promises';

const firstWaitMs = 5000;
const longestWaitMs = 60_000;
const giveUpMs = 600_000;

export class Seekers {
  readonly #running = new Map<string, AbortController>();

  /** Tries `seek` until it succeeds; one at a time under a name, the later in place of the earlier. */
  start(name: string, seek: (signal: AbortSignal) => Promise<void>): void {
    this.end(name);
    const ended = new AbortController();
    this.#running.set(name, ended);
    void this.#run(seek, ended.signal).finally(() => {
      if (this.#running.get(name) === ended) this.#running.delete(name);
    });
  }

  end(name: string): void {
    this.#running.get(name)?.abort();
    this.#running.delete(name);
  }

  close(): void {
    for (const name of [...this.#running.keys()]) this.end(name);
  }

  async #run(seek: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const until = performance.now() + giveUpMs;
    for (let waitMs = firstWaitMs; performance.now() < until; waitMs = Math.min(waitMs * 2, longestWaitMs)) {
      await delay(waitMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        return await seek(signal);
      } catch {
        // Still away, or it says no: the next try will tell.
      }
    }
  }
}
