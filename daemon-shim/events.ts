/** Engine events: the last ones are kept for `docker events --since`, new ones go to everybody who listens. */
import type { Timestamp } from './timestamp.ts';

export interface EngineEvent {
  readonly Type: 'container' | 'image' | 'network' | 'volume' | 'daemon' | 'plugin';
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly at: Timestamp;
}

/** As many as dockerd keeps. */
const keptEvents = 256;

export class EventLog {
  readonly #kept: EngineEvent[] = [];
  readonly #listeners = new Set<(event: EngineEvent) => void>();

  emit(event: EngineEvent): void {
    this.#kept.push(event);
    if (this.#kept.length > keptEvents) this.#kept.shift();
    for (const listener of this.#listeners) listener(event);
  }

  get kept(): readonly EngineEvent[] {
    return this.#kept;
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  listen(listener: (event: EngineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
