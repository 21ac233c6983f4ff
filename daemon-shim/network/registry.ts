/** The networks by id and name. */

import type { Store, Table } from '../../plugins/store/store.ts';
import { badRequest, notFound } from '../api/api-error.ts';
import { NameLocks } from '../name-locks.ts';
import type { NetworkRecord } from './record.ts';

export class NetworkRegistry {
  readonly #table: Table<NetworkRecord>;
  readonly #unfinished: Table<NetworkRecord>;
  readonly #locks = new NameLocks();
  readonly #restoring = new Map<string, Promise<void>>();

  constructor(store: Store) {
    this.#table = store.table<NetworkRecord>('network', { version: 1 });
    this.#unfinished = store.table<NetworkRecord>('network.unfinished', { version: 1 });
  }

  list(): NetworkRecord[] {
    return this.#table.entries().map(([, record]) => record);
  }

  /** By id, name, or unique id prefix; full matches first, as Docker looks. */
  find(nameOrId: string): NetworkRecord | undefined {
    const byId = this.#table.get(nameOrId);
    if (byId !== undefined) return byId;
    const named = this.list().find((network) => network.name === nameOrId);
    if (named !== undefined || !/^[0-9a-f]+$/.test(nameOrId)) return named;
    const matches = this.#table.entries(nameOrId);
    if (matches.length > 1)
      throw badRequest(`network ${nameOrId} is ambiguous (${matches.length} matches found on ID prefix)`);
    return matches[0]?.[1];
  }

  get(nameOrId: string): NetworkRecord {
    const network = this.find(nameOrId);
    if (network === undefined) throw notFound(`network ${nameOrId} not found`);
    return network;
  }

  put(record: NetworkRecord): void {
    this.#table.put(record.id, record);
  }

  delete(id: string): void {
    this.#table.delete(id);
  }

  /** Its drivers are about to be told; `finish` follows, or the next start takes it back. */
  begin(record: NetworkRecord): void {
    this.#unfinished.put(record.id, record);
  }

  finish(id: string): void {
    this.#unfinished.delete(id);
  }

  /** Whose making a killed shim did not finish. */
  unfinished(): NetworkRecord[] {
    return this.#unfinished.entries().map(([, record]) => record);
  }

  setRestoring(id: string, work: Promise<void>): void {
    this.#restoring.set(id, work);
  }

  /** Resolves when the network's drivers have been told of it again, if they want to be; at once later on. */
  async restored(id: string): Promise<void> {
    await this.#restoring.get(id);
  }

  /** Creating and removing, one at a time for each name. */
  locked<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.#locks.locked(name, work);
  }
}
