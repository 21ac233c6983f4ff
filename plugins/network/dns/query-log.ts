/** The live query log: costs one comparison per query while nobody listens. */

export interface QueryLogEntry {
  readonly time: string;
  readonly network: string;
  readonly client: string;
  readonly transport: 'udp' | 'tcp';
  readonly name: string;
  readonly type: string;
  readonly rcode: string;
  /** `local`, `cached`, `forwarded`, … as in the counters. */
  readonly outcome: string;
  /** The upstream, or why. */
  readonly source: string;
  readonly answers: number;
  readonly ms: number;
}

export type QueryLogListener = (entry: QueryLogEntry) => void;

export class QueryLog {
  readonly #listeners = new Set<QueryLogListener>();

  get active(): boolean {
    return this.#listeners.size > 0;
  }

  subscribe(listener: QueryLogListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  write(entry: QueryLogEntry): void {
    for (const listener of this.#listeners) listener(entry);
  }
}
