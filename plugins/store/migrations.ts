/** Brings the records of one table from the version on disk to the version that the code wants, all in one transaction. */
import { StoreError } from './errors.ts';
import type { Store } from './store.ts';

export interface TableOptions {
  /** 1 for the first shape of the records; one more for each change of it. */
  readonly version: number;
  /** Under each version from 2 on: makes a record of that version from one of the version before. */
  readonly migrate?: Readonly<Record<number, (old: unknown) => unknown>>;
}

/** Returns how many records were rewritten. Throws STORE_NEWER for records of a later version, STORE_USE for a missing step. */
export function migrateTable(store: Store, name: string, { version, migrate = {} }: TableOptions): number {
  return store.transaction(() => {
    const found = store.row('SELECT version FROM tables WHERE name = ?', name)?.['version'];
    if (found === version) return 0;
    const from = found === undefined ? version : Number(found);
    if (from > version) {
      throw new StoreError(
        'STORE_NEWER',
        `the record file ${store.path} was written by a newer version: ${name} has version ${from}, this one knows ${version}`,
      );
    }
    store.run('INSERT OR REPLACE INTO tables VALUES (?, ?)', name, version);
    const rows = from === version ? [] : store.rows('SELECT key, record FROM records WHERE tbl = ?', name);
    for (const row of rows) {
      let record: unknown = JSON.parse(String(row['record']));
      for (let next = from + 1; next <= version; next++) {
        const step = migrate[next];
        if (!step) throw new StoreError('STORE_USE', `table ${name} has no migration to version ${next}`);
        record = step(record);
      }
      store.run(
        'UPDATE records SET record = ? WHERE tbl = ? AND key = ?',
        JSON.stringify(record),
        name,
        String(row['key']),
      );
    }
    return rows.length;
  });
}
