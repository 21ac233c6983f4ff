/**
 * The store is a leaf and knows no PluginError: it throws StoreError, whose `code` is one of the STORE_ codes of the SDK's
 * table, so that a caller maps it by `new PluginError(error.code, error.message, { cause: error })`.
 */
export type StoreErrorCode = 'STORE_CORRUPT' | 'STORE_FULL' | 'STORE_IO' | 'STORE_LOCKED' | 'STORE_NEWER' | 'STORE_USE';

export class StoreError extends Error {
  override readonly name: string = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** Primary result codes of SQLite, https://www.sqlite.org/rescode.html. */
const meanings: ReadonlyMap<number, readonly [StoreErrorCode, string]> = new Map([
  [5, ['STORE_LOCKED', 'is in use by another process']],
  [8, ['STORE_IO', 'cannot be written']],
  [10, ['STORE_IO', 'could not be read or written']],
  [11, ['STORE_CORRUPT', 'is damaged']],
  [13, ['STORE_FULL', 'could not grow: the disk is full']],
  [14, ['STORE_IO', 'could not be opened']],
  [26, ['STORE_CORRUPT', 'is not a database']],
]);

/** A StoreError for what SQLite threw; other values (a caller's own error) come back as they are. */
export function storeError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return error;
  // The low byte is the primary code, the rest refines it.
  const [code, meaning] = meanings.get(error.errcode & 0xff) ?? ['STORE_IO', 'failed'];
  return new StoreError(code, `the record file ${path} ${meaning}: ${error.message}`, error);
}
