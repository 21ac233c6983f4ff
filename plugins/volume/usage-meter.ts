/** Measures in the background how much a volume holds: one measurement at a time for each, and not more often than needed. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Budget } from './backend.ts';
import { startBudget } from './mount-deadline.ts';

const timeoutMs = 60_000;
/** Long enough for a container to be up: starting processes then would hold up the calls that belong to it. */
const afterMs = 1000;
/** A measurement is repeated when it is older than this, or than ten times what it took. */
const minAgeMs = 15_000;

export class UsageMeter {
  readonly #running = new Set<string>();
  readonly #nextAt = new Map<string, number>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  measureSoon(name: string, measure: (budget: Budget) => Promise<void>): void {
    const started = performance.now();
    if (this.#running.has(name) || started < (this.#nextAt.get(name) ?? 0)) return;
    this.#running.add(name);
    void delay(afterMs, undefined, { ref: false })
      .then(() => measure(startBudget(timeoutMs)))
      .catch((error: unknown) => this.#log.debug({ volume: name, err: error }, 'usage could not be measured'))
      .finally(() => {
        this.#running.delete(name);
        const ended = performance.now();
        this.#nextAt.set(name, ended + Math.max(minAgeMs, 10 * (ended - started)));
      });
  }

  /** Of a volume that is gone. */
  forget(name: string): void {
    this.#nextAt.delete(name);
  }
}
