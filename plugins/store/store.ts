/**
 * Records on disk: named tables of JSON records in one SQLite file. Everything is synchronous, and when the outermost
 * transaction returns its records are on disk (write-ahead log, full sync: one fsync a transaction), or with `unsynced` in
 * the kernel's hands.
 *
 * ```
 * STATE_DIR/networkd.db       0600, held exclusively by one process
 * STATE_DIR/networkd.db-wal   the log, read again after a crash
 * ```
 *
 * A record belongs to a table with a version; `migrations.ts` brings older records up when the table is opened.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { StoreError, storeError } from './errors.ts';
import { migrateTable, type TableOptions } from './migrations.ts';

export { StoreError, type StoreErrorCode } from './errors.ts';
export type { TableOptions } from './migrations.ts';

export interface Table<R> {
  get(key: string): R | undefined;
  has(key: string): boolean;
  put(key: string, record: R): void;
  /** Whether there was such a record. */
  delete(key: string): boolean;
  /** In the order of the keys' bytes; all of them, or those whose key starts with `prefix`. */
  entries(prefix?: string): [key: string, record: R][];
  clear(): void;
}

export interface StoreOptions {
  readonly log?: { info(fields: object, message: string): void };
}

const schema = `
  CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS records (tbl TEXT, key TEXT, record TEXT NOT NULL, PRIMARY KEY (tbl, key)) WITHOUT ROWID;
`;

/**
 * Opens or creates the file and its folder, and checks it. Throws StoreError: STORE_LOCKED when another process has it,
 * STORE_CORRUPT when it is damaged, STORE_IO when it cannot be reached. The caller closes it.
 */
export function openStore(path: string, options: StoreOptions = {}): Store {
  return new Store(path, options);
}

export class Store {
  readonly path: string;
  readonly #log: StoreOptions['log'];
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #depth = 0;

  constructor(path: string, { log }: StoreOptions) {
    this.path = path;
    this.#log = log;
    this.#database = this.#guard(() => openDatabase(path));
  }

  /** The table's records, after migration to `options.version`. */
  table<R>(name: string, options: TableOptions): Table<R> {
    const count = migrateTable(this, name, options);
    if (count > 0) this.#log?.info({ table: name, version: options.version, records: count }, 'records migrated');
    return {
      get: (key) => {
        const row = this.row('SELECT record FROM records WHERE tbl = ? AND key = ?', name, key);
        return row === undefined ? undefined : (parseRecord(row['record'], this.path, name, key) as R);
      },
      has: (key) => this.row('SELECT 1 FROM records WHERE tbl = ? AND key = ?', name, key) !== undefined,
      put: (key, record) => {
        this.run('INSERT OR REPLACE INTO records VALUES (?, ?, ?)', name, key, recordText(record, name, key));
      },
      delete: (key) => this.run('DELETE FROM records WHERE tbl = ? AND key = ?', name, key) > 0,
      entries: (prefix = '') =>
        // U+10FFFF sorts after every character that a key goes on with.
        this.rows(
          'SELECT key, record FROM records WHERE tbl = ? AND key >= ? AND key < ? ORDER BY key',
          name,
          prefix,
          `${prefix}\u{10FFFF}`,
        ).map((row) => [String(row['key']), parseRecord(row['record'], this.path, name, String(row['key'])) as R]),
      clear: () => {
        this.run('DELETE FROM records WHERE tbl = ?', name);
      },
    };
  }

  /**
   * All or nothing: what `fn` wrote is undone when it throws. A nested call joins the outer transaction: it is on disk when
   * the outermost returns; if it throws and the outer one catches that, only the nested part is undone.
   */
  transaction<T>(fn: () => T): T {
    const depth = this.#depth;
    this.run(depth === 0 ? 'BEGIN IMMEDIATE' : `SAVEPOINT s${depth}`);
    this.#depth++;
    try {
      const result = fn();
      if (isThenable(result))
        throw new StoreError('STORE_USE', 'a transaction must be synchronous: its function returned a promise');
      this.run(depth === 0 ? 'COMMIT' : `RELEASE s${depth}`);
      return result;
    } catch (error) {
      this.#undo(depth);
      throw error;
    } finally {
      this.#depth = depth;
    }
  }

  /**
   * A transaction that survives the end of this process at any moment, but perhaps not that of the machine: for records of
   * what the machine takes along (links, sandboxes). Inside another transaction it is on disk with that one.
   */
  unsynced<T>(fn: () => T): T {
    if (this.#depth > 0) return this.transaction(fn);
    // Without sync the log keeps its order: after a power loss some last transactions are missing, never one in between.
    this.#sync('NORMAL');
    try {
      return this.transaction(fn);
    } finally {
      this.#sync('FULL');
    }
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** One statement of this layer's own; returns the number of rows that changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return this.#guard(() => Number(this.#statement(sql).run(...values).changes));
  }

  row(sql: string, ...values: SQLInputValue[]): Record<string, unknown> | undefined {
    return this.#guard(() => this.#statement(sql).get(...values));
  }

  rows(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return this.#guard(() => this.#statement(sql).all(...values));
  }

  /** Takes effect when it is compiled, so no prepared statement of it can be kept. */
  #sync(level: 'NORMAL' | 'FULL'): void {
    this.#guard(() => this.#database.exec(`PRAGMA synchronous = ${level}`));
  }

  #undo(depth: number): void {
    // A full disk or an I/O error has rolled back by itself already: https://www.sqlite.org/lang_transaction.html
    if (!this.#database.isTransaction) return;
    if (depth === 0) this.run('ROLLBACK');
    else {
      this.run(`ROLLBACK TO s${depth}`);
      this.run(`RELEASE s${depth}`);
    }
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #guard<T>(fn: () => T): T {
    try {
      return fn();
    } catch (error) {
      throw storeError(error, this.path);
    }
  }
}

function openDatabase(path: string): DatabaseSync {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // Records may hold keys; SQLite gives the log the mode of the file.
    closeSync(openSync(path, 'a', 0o600));
  } catch (error) {
    throw new StoreError(
      'STORE_IO',
      `the record file ${path} could not be created: ${(error as Error).message}`,
      error,
    );
  }
  const database = new DatabaseSync(path);
  try {
    database.exec('PRAGMA busy_timeout = 500; PRAGMA locking_mode = EXCLUSIVE');
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    const result = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
    if (result !== 'ok') throw new StoreError('STORE_CORRUPT', `the record file ${path} is damaged: ${result}`);
    database.exec(schema);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function recordText(record: unknown, table: string, key: string): string {
  const text: string | undefined = JSON.stringify(record);
  if (text === undefined) throw new StoreError('STORE_USE', `the record ${table} ${key} is no JSON value`);
  return text;
}

function parseRecord(text: unknown, path: string, table: string, key: string): unknown {
  try {
    return JSON.parse(String(text));
  } catch (error) {
    throw new StoreError('STORE_CORRUPT', `the record file ${path} is damaged: ${table} ${key} is no JSON`, error);
  }
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
