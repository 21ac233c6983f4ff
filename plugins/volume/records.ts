/** What is on disk about volumes: one record each, and the boot in which the holds were taken. */
import { readFileSync } from 'node:fs';
import { PluginError } from '../sdk/errors.ts';
import { type Store, StoreError, type Table } from '../store/store.ts';
import type { Hold } from './active-mounts.ts';
import type { VolumeName } from './volume-name.ts';

/** What a backend has to remember about a volume, besides its options. */
export type Details = Readonly<Record<string, string | number | boolean>>;

/** How the mount that was handed out looks in any mount table, ours or a container's. */
export interface MountIdentity {
  readonly device: string;
  readonly root: string;
  readonly source: string;
}

export interface VolumeRecord {
  readonly name: VolumeName;
  /** `creating` and `removing` are seen only while that runs, or after a crash in the middle of it. */
  readonly state: 'creating' | 'ready' | 'removing';
  /** As they were given. */
  readonly options: Readonly<Record<string, string>>;
  readonly createdAt: string;
  readonly holds: readonly Hold[];
  readonly details: Details;
  /** Of the last mount; absent before the first. */
  readonly mounted?: MountIdentity;
}

export interface VolumeRecords {
  get(name: string): VolumeRecord | undefined;
  put(record: VolumeRecord): void;
  delete(name: string): void;
  all(): readonly VolumeRecord[];
  transaction<T>(work: () => T): T;
}

/**
 * The records of one driver, read once and kept in memory: Get and List cost no query, and a record keeps its identity for
 * as long as it does not change. A write is on disk before it is seen.
 */
export function openRecords(store: Store, driver: string): VolumeRecords {
  const table: Table<VolumeRecord> = store.table('volumes', { version: 1 });
  const key = (name: string): string => `${driver}/${name}`;
  const load = (): Map<string, VolumeRecord> =>
    new Map(table.entries(key('')).map(([, record]) => [record.name, record]));
  let records = load();
  const guard = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      throw new PluginError(error.code, error.message, { cause: error });
    }
  };
  return {
    get: (name) => records.get(name),
    put(record) {
      guard(() => table.put(key(record.name), record));
      records.set(record.name, record);
    },
    delete(name) {
      guard(() => table.delete(key(name)));
      records.delete(name);
    },
    all: () => [...records.values()],
    transaction(work) {
      try {
        return guard(() => store.transaction(work));
      } catch (error) {
        records = load();
        throw error;
      }
    },
  };
}

/** Remembers this boot, and tells whether it is another one than that of the last start. */
export function isNewBoot(store: Store, bootId: string): boolean {
  const table: Table<string> = store.table('volume-boot', { version: 1 });
  const before = table.get('boot');
  if (before !== bootId) table.put('boot', bootId);
  return before !== bootId;
}

/** random(4): drawn anew at each boot. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
