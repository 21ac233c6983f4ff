/**
 * The pools and their addresses, in memory and on disk together: the only code that changes either. Each method is one
 * transaction, and memory follows after it is on disk: a request that fails leaves both as they were, and after kill -9 at any
 * point the next start reads what had been answered, or what had been written and not answered yet (reconcile.ts finds that).
 */
import { PluginError } from '../../sdk/errors.ts';
import { type Store, StoreError } from '../../store/store.ts';
import { type Cidr, parseCidr } from '../address/cidr.ts';
import { type Family, formatIp, parseIp } from '../address/ip.ts';
import { type AddressRecord, Pool, type PoolSettings } from './pool.ts';
import { type HostRecord, type IpamRecords, openRecords, type PoolRecord } from './records.ts';
import type { SubnetSharing } from './subnet-sharing.ts';

export interface PoolEntry {
  readonly poolId: string;
  readonly record: PoolRecord;
  readonly cidr: Cidr;
  readonly pool: Pool;
}

/** An address of a pool and its new record; undefined deletes it. */
export type AddressChange = readonly [value: bigint, record: AddressRecord | undefined];

export class Ledger {
  readonly #store: Store;
  readonly #records: IpamRecords;
  readonly #settingsFor: (record: PoolRecord) => PoolSettings;
  readonly #sharing: SubnetSharing | undefined;
  readonly #entries = new Map<string, PoolEntry>();
  /** POOL_ID → when it was given back, in milliseconds since 1970; whoever needs them forgets the old ones. */
  readonly releases = new Map<string, number>();

  constructor(store: Store, settingsFor: (record: PoolRecord) => PoolSettings, sharing?: SubnetSharing) {
    this.#store = store;
    this.#records = openRecords(store);
    this.#settingsFor = settingsFor;
    this.#sharing = sharing;
    this.#load();
  }

  /** In the order of their creation. */
  pools(): PoolEntry[] {
    return [...this.#entries.values()];
  }

  find(poolId: string): PoolEntry | undefined {
    return this.#entries.get(poolId);
  }

  addPool(poolId: string, record: PoolRecord): PoolEntry {
    onDisk(() => this.#records.pools.put(poolId, record));
    this.releases.delete(poolId);
    const entry = this.#entryOf(poolId, record);
    this.#entries.set(poolId, entry);
    return entry;
  }

  /** The pool with all its addresses; false when there is none. */
  dropPool(poolId: string): boolean {
    const entry = this.#entries.get(poolId);
    if (entry === undefined) return false;
    this.#transaction(() => {
      for (const [value] of entry.pool.entries()) this.#records.addresses.delete(addressKey(entry, value));
      this.#records.pools.delete(poolId);
    });
    this.#entries.delete(poolId);
    const { blocksOf, pool } = entry.record;
    if (blocksOf !== undefined) this.#sharing?.release(blocksOf, pool);
    return true;
  }

  replacePool(entry: PoolEntry, record: PoolRecord): void {
    onDisk(() => this.#records.pools.put(entry.poolId, record));
    this.#entries.set(entry.poolId, { ...entry, record });
  }

  change(entry: PoolEntry, changes: readonly AddressChange[]): void {
    this.changeAll([[entry, changes]]);
  }

  /** Several pools in one transaction. */
  changeAll(work: readonly (readonly [PoolEntry, readonly AddressChange[]])[]): void {
    if (work.every(([, changes]) => changes.length === 0)) return;
    this.#transaction(() => {
      for (const [entry, changes] of work) this.#write(entry, changes);
    });
    for (const [entry, changes] of work) {
      for (const [value, record] of changes) {
        if (record === undefined) entry.pool.remove(value);
        else entry.pool.put(value, record);
      }
    }
  }

  /** After a change of the configuration. */
  refreshSettings(): void {
    for (const { pool, record } of this.#entries.values()) pool.settings = this.#settingsFor(record);
  }

  get host(): HostRecord | undefined {
    return this.#records.host.get('host');
  }

  set host(record: HostRecord) {
    onDisk(() => this.#records.host.put('host', record));
  }

  #transaction(work: () => void): void {
    onDisk(() => this.#store.transaction(work));
  }

  #write(entry: PoolEntry, changes: readonly AddressChange[]): void {
    for (const [value, record] of changes) {
      if (record === undefined) this.#records.addresses.delete(addressKey(entry, value));
      else this.#records.addresses.put(addressKey(entry, value), record);
    }
  }

  #load(): void {
    const pools = this.#records.pools.entries().sort(([, one], [, other]) => one.createdAt - other.createdAt);
    for (const [poolId, record] of pools) {
      const entry = this.#entryOf(poolId, record);
      this.#entries.set(poolId, entry);
      const addresses = this.#records.addresses.entries(`${poolId} `);
      // Kept addresses in the order of their release, as the pool wants them.
      addresses.sort(([, one], [, other]) => timeOf(one) - timeOf(other));
      for (const [key, address] of addresses) entry.pool.put(parseIp(key.slice(poolId.length + 1)).value, address);
    }
  }

  #entryOf(poolId: string, record: PoolRecord): PoolEntry {
    const cidr = parseCidr(record.pool);
    const subPool = record.subPool === undefined ? undefined : parseCidr(record.subPool);
    const { blocksOf } = record;
    const sharing = this.#sharing;
    const blocks = blocksOf !== undefined && sharing ? () => sharing.held(blocksOf, record.pool) : undefined;
    return { poolId, record, cidr, pool: new Pool(cidr, subPool, this.#settingsFor(record), blocks) };
  }
}

/** The store is a leaf without PluginError; its codes are in the same table. */
function onDisk(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new PluginError(error.code, error.message, { cause: error });
  }
}

export function addressText(family: Family, value: bigint): string {
  return formatIp({ family, value });
}

function addressKey(entry: PoolEntry, value: bigint): string {
  return `${entry.poolId} ${addressText(entry.cidr.family, value)}`;
}

function timeOf(record: AddressRecord): number {
  return record.state === 'kept' ? record.releasedAt : record.at;
}
