/**
 * What one set of networks sees: zones in the asker's order, and a table of answers that are ready to send. The table is filled as
 * questions come and thrown away whenever a zone of the view changes, so that an old answer cannot outlive the change; what is asked often is back
 * after one slow answer.
 */
import type { Answer } from './answer.ts';
import type { Forwarder } from './forwarder.ts';
import { type Query, sameQuestion } from './query.ts';
import type { Stats } from './stats.ts';
import type { Zone } from './zone.ts';

/** Beyond this the table starts anew: a client that asks for ever new names must not fill the memory. */
const maxTableSize = 65_536;

export interface ViewParts {
  /** For the log: the networks' names, or the beginning of their ids. */
  readonly label: string;
  readonly zones: readonly Zone[];
  readonly forwarder: Forwarder;
  readonly stats: Stats;
}

export class View {
  readonly label: string;
  readonly zones: readonly Zone[];
  readonly forwarder: Forwarder;
  readonly stats: Stats;
  #table = new Map<number, Answer>();

  constructor(parts: ViewParts) {
    this.label = parts.label;
    this.zones = parts.zones;
    this.forwarder = parts.forwarder;
    this.stats = parts.stats;
  }

  /** The ready answer to a plain query, if there is one. `now` in seconds. */
  find(query: Query, message: Uint8Array, start: number, now: number): Answer | undefined {
    const answer = this.#table.get(query.hash);
    if (answer === undefined || answer.expiresAt <= now) return undefined;
    return sameQuestion(answer.key, message, start, query.questionEnd) ? answer : undefined;
  }

  /** Has the answer ready for the next query with this hash; -1 is none. */
  keep(hash: number, answer: Answer): void {
    if (hash < 0) return;
    if (this.#table.size >= maxTableSize) this.#table = new Map();
    this.#table.set(hash, answer);
  }

  /** To be called when a zone of the view has changed. */
  forget(): void {
    if (this.#table.size > 0) this.#table = new Map();
  }
}
