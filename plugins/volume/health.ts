/** What is known about each volume while the daemon runs: kept in memory, so that Get and List answer from it at once. */
import type { Usage } from './backend.ts';

export type Health =
  /** Nothing is mounted, and the last thing that was tried succeeded. */
  | 'idle'
  | 'mounted'
  /** The last mount failed. */
  | 'failed'
  /** Mounted, but its server does not answer, or has lost the folder. */
  | 'unreachable'
  /** Wanted, and tried again in the background. */
  | 'retrying';

export interface VolumeHealth {
  readonly health: Health;
  readonly since: Date;
  readonly lastError?: { readonly at: Date; readonly message: string };
  /** A last resort that was taken, or a thing to do. */
  readonly note?: string;
  readonly usage?: Usage & { readonly at: Date };
}

export class HealthBoard {
  readonly #volumes = new Map<string, VolumeHealth>();
  readonly #now: () => Date;

  constructor(now: () => Date) {
    this.#now = now;
  }

  get(name: string): VolumeHealth | undefined {
    return this.#volumes.get(name);
  }

  set(name: string, health: Health): void {
    const before = this.#volumes.get(name);
    if (before?.health !== health) this.#volumes.set(name, { ...before, health, since: this.#now() });
  }

  fail(name: string, health: Health, error: unknown): void {
    this.set(name, health);
    const message = error instanceof Error ? error.message : String(error);
    this.#merge(name, { lastError: { at: this.#now(), message } });
  }

  /** undefined takes an earlier note away. */
  note(name: string, note: string | undefined): void {
    const { note: _, ...rest } = this.#require(name);
    this.#volumes.set(name, note === undefined ? rest : { ...rest, note });
  }

  usage(name: string, usage: Usage): void {
    this.#merge(name, { usage: { ...usage, at: this.#now() } });
  }

  forget(name: string): void {
    this.#volumes.delete(name);
  }

  #merge(name: string, part: Partial<VolumeHealth>): void {
    this.#volumes.set(name, { ...this.#require(name), ...part });
  }

  #require(name: string): VolumeHealth {
    return this.#volumes.get(name) ?? { health: 'idle', since: this.#now() };
  }
}
