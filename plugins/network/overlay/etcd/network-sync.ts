/**
 * One network of this host in etcd. Two things never end while there is a connection: what others change is followed, and what
 * etcd has of this host is brought to what it should have. So a record of ours that is lost, for whatever reason, is there again.
 */
import type { SharedEndpoint, SharedNetwork } from '../control-plane.ts';
import { CompactedError, type Operation, put, remove, revisionOf } from './connection.ts';
import { removeUnused } from './definition.ts';
import type { Keys } from './keys.ts';
import { NetworkView } from './network-view.ts';
import type { Session } from './session.ts';

/** etcd takes 128 operations in one transaction (--max-txn-ops). */
const batchSize = 100;
const fadeCheckMs = 250;

export interface SyncParts {
  readonly name: string;
  readonly keys: Keys;
  readonly node: string;
  readonly hostName: string;
  /** The others' part is different. */
  readonly onChange: () => void;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export class NetworkSync {
  readonly view: NetworkView;
  readonly #parts: SyncParts;
  /** Rest of the key → JSON. */
  readonly #wanted = new Map<string, string>();
  #network: SharedNetwork | undefined;
  #wake = () => {};
  #withdrawn = false;

  constructor(parts: SyncParts) {
    this.#parts = parts;
    this.view = new NetworkView(parts.keys.network(parts.name), parts.node);
  }

  get network(): SharedNetwork | undefined {
    return this.#network;
  }

  announce(network: SharedNetwork): void {
    this.#withdrawn = false;
    this.#wanted.clear();
    this.describe(network);
    for (const endpoint of network.endpoints) this.put(endpoint);
  }

  /** Everything but the endpoints. */
  describe({ endpoints: _, ...network }: SharedNetwork): void {
    this.#network = { ...network, endpoints: [] };
    this.#wanted.set(`hosts/${this.#parts.node}`, JSON.stringify({ hostName: this.#parts.hostName, network }));
    this.#wake();
  }

  put(endpoint: SharedEndpoint): void {
    this.#wanted.set(`endpoints/${this.#parts.node}/${endpoint.id}`, JSON.stringify(endpoint));
    this.#wake();
  }

  remove(endpointId: string): void {
    this.#wanted.delete(`endpoints/${this.#parts.node}/${endpointId}`);
    this.#wake();
  }

  /** Takes part no longer; `run` ends when etcd knows. */
  withdraw(): void {
    this.#withdrawn = true;
    this.#wanted.clear();
    this.#wake();
  }

  get withdrawn(): boolean {
    return this.#withdrawn;
  }

  /** Until the session ends, or the network was withdrawn. Throws ConnectError. */
  async run(session: Session, lease: bigint): Promise<void> {
    const { name, keys, onChange, log } = this.#parts;
    for (;;) {
      const snapshot = await session.connection.read(keys.network(name));
      this.view.reset(snapshot);
      session.saw(snapshot.revision, 0);
      if (this.view.broken > 0)
        log.warn({ network: name, records: this.view.broken }, 'records of the store cannot be understood');
      onChange();
      const round = new AbortController();
      const signal = AbortSignal.any([session.signal, round.signal]);
      try {
        await Promise.race([
          this.#follow(session, snapshot.revision, signal),
          this.#write(session, lease, signal),
          this.#fade(signal),
        ]);
        return;
      } catch (error) {
        if (!(error instanceof CompactedError)) throw error;
        log.info(
          { network: name, reason: error.message },
          'the history of the store is gone: everything is read again',
        );
      } finally {
        round.abort();
      }
    }
  }

  async #follow(session: Session, revision: bigint, signal: AbortSignal): Promise<void> {
    const { name, keys, onChange } = this.#parts;
    for await (const batch of session.connection.watch(keys.network(name), revision, signal)) {
      session.saw(batch.revision, batch.events.length);
      const { others, own } = this.view.apply(batch);
      if (others) onChange();
      if (own) this.#wake();
    }
  }

  async #write(session: Session, lease: bigint, signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const missing = this.#missing(lease);
      for (let at = 0; at < missing.length; at += batchSize) {
        const batch = missing.slice(at, at + batchSize);
        const { header } = await session.connection.transact({ success: batch.map(([, , operation]) => operation) });
        session.wrote(batch.length);
        for (const [rest, text] of batch)
          this.view.wrote(rest, text === undefined ? undefined : { text, lease }, revisionOf(header));
      }
      if (missing.length > 0) continue;
      if (this.#withdrawn) {
        await removeUnused(session, this.#parts.keys, this.#parts.name);
        return;
      }
      await woken;
    }
  }

  /** What etcd lacks or has too much of this host. */
  #missing(lease: bigint): [rest: string, text: string | undefined, operation: Operation][] {
    const prefix = this.#parts.keys.network(this.#parts.name);
    const own = this.view.own();
    const late = [...this.#wanted].filter(([rest, text]) => {
      const known = own.get(rest);
      return known?.text !== text || known.lease !== lease;
    });
    const gone = [...own.keys()].filter((rest) => !this.#wanted.has(rest));
    return [
      ...gone.map((rest): [string, undefined, Operation] => [rest, undefined, remove(prefix + rest)]),
      ...late.map(([rest, text]): [string, string, Operation] => [rest, text, put(prefix + rest, text, lease)]),
    ];
  }

  async #fade(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, fadeCheckMs).unref());
      if (!signal.aborted && this.view.fade()) this.#parts.onChange();
    }
    await new Promise(() => {});
  }
}
