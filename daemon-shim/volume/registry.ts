/** Which driver a volume name belongs to, with the labels and options it was made with; the rest the driver knows. */

import type { Store, Table } from '../../plugins/store/store.ts';
import { NameLocks } from '../name-locks.ts';

export interface VolumeRecord {
  readonly name: string;
  readonly driver: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** RFC 3339. */
  readonly created: string;
}

/** Docker's label of volumes that no user named. */
export const anonymousLabel = 'com.docker.volume.anonymous';

export class VolumeRegistry {
  readonly #table: Table<VolumeRecord>;
  readonly #locks = new NameLocks();

  constructor(store: Store) {
    this.#table = store.table<VolumeRecord>('volume', { version: 1 });
  }

  list(): VolumeRecord[] {
    return this.#table.entries().map(([, record]) => record);
  }

  find(name: string): VolumeRecord | undefined {
    return this.#table.get(name);
  }

  put(record: VolumeRecord): void {
    this.#table.put(record.name, record);
  }

  delete(name: string): void {
    this.#table.delete(name);
  }

  /** Creating and removing, one at a time for each name. */
  locked<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.#locks.locked(name, work);
  }
}
