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
  readonly #listeners = new Map<(event: EngineEvent) => void, () => void>();

  emit(event: EngineEvent): void {
    this.#kept.push(event);
    if (this.#kept.length > keptEvents) this.#kept.shift();
    for (const listener of this.#listeners.keys()) listener(event);
  }

  get kept(): readonly EngineEvent[] {
    return this.#kept;
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  /** `onEnd`: there will be no more, the shim ends. Returns what stops listening. */
  listen(listener: (event: EngineEvent) => void, onEnd: () => void = () => {}): () => void {
    this.#listeners.set(listener, onEnd);
    return () => this.#listeners.delete(listener);
  }

  end(): void {
    for (const onEnd of this.#listeners.values()) onEnd();
    this.#listeners.clear();
  }
}
