/**
 * The state of a small plugin: a Map that is one JSON file, enough for a few hundred objects. What was set or deleted is on
 * disk before the call returns, and the file is whole whatever happens: written beside, synced, renamed.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Values are plain JSON; to change one, `set` it. Throws what `fs` and JSON.parse throw. */
export class StateMap<V> extends Map<string, V> {
  readonly #path: string;

  /** Reads the file; where there is none, the map is empty. */
  constructor(path: string) {
    super();
    this.#path = path;
    mkdirSync(dirname(path), { recursive: true });
    for (const [key, value] of JSON.parse(readText(path) ?? '[]') as [string, V][]) super.set(key, value);
  }

  override set(key: string, value: V): this {
    super.set(key, value);
    this.#save();
    return this;
  }

  override delete(key: string): boolean {
    const found = super.delete(key);
    if (found) this.#save();
    return found;
  }

  override clear(): void {
    super.clear();
    this.#save();
  }

  #save(): void {
    const temporary = `${this.#path}.new`;
    writeFileSync(temporary, JSON.stringify([...this]), { mode: 0o600, flush: true });
    renameSync(temporary, this.#path);
    syncFolder(dirname(this.#path));
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The rename itself is on disk only then. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
