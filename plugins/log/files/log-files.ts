/**
 * The files of one container's log, oldest first, and how they are named. Two namings:
 *
 * ```
 * chain     ID-json.log  ID-json.log.1  ID-json.log.2.gz     Docker's: the newest has no number, every rotation renames
 * sequence  00000001.journal.gz  00000002.journal            nothing is renamed, so that a cursor can name a file
 * ```
 *
 * A `LogFile` stays the same object while its file is renamed or compressed, so a reader that holds one can go on. For that all who
 * work on one log at the same time, writer, readers, compression and retention, share one `LogFiles`: `logFilesAt` gives it to them
 * for as long as one of them holds it. Files change their names without anything awaited in between, so whoever opens one
 * synchronously by its present path gets the right one; an opening that happens later may get its neighbour.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { removeTimeIndex } from './time-index.ts';

export interface LogFile {
  /** Rises by one from file to file; stable for as long as this process keeps the log open, for `sequence` for ever. */
  readonly sequence: number;
  path: string;
  compressed: boolean;
  /** Set when retention removed it. */
  removed: boolean;
}

export interface Naming {
  readonly kind: 'chain' | 'sequence';
  /** chain: the newest file's path. sequence: the folder. */
  readonly path: string;
}

const sequenceSuffix = '.journal';

/** What is in use now, by the path of its naming. */
const held = new Map<string, LogFiles>();

/** The files that somebody holds already, or else a new look at the folder. */
export function logFilesAt(naming: Naming): LogFiles {
  return held.get(naming.path) ?? new LogFiles(naming);
}

export class LogFiles {
  readonly naming: Naming;
  readonly #files: LogFile[];
  #holders = 0;

  /** Reads the folder; a missing one is an empty log. */
  constructor(naming: Naming) {
    this.naming = naming;
    this.#files = naming.kind === 'chain' ? listChain(naming.path) : listSequence(naming.path);
  }

  /** Others who come meanwhile share these. The returned function ends it, once. */
  hold(): () => void {
    const { path } = this.naming;
    if (this.#holders++ === 0 && !held.has(path)) held.set(path, this);
    let holding = true;
    return () => {
      if (!holding) return;
      holding = false;
      if (--this.#holders === 0 && held.get(path) === this) held.delete(path);
    };
  }

  /** Oldest first; the last one is where entries are appended. */
  get all(): readonly LogFile[] {
    return this.#files;
  }

  get newest(): LogFile | undefined {
    return this.#files.at(-1);
  }

  find(sequence: number): LogFile | undefined {
    return this.#files.find((file) => file.sequence === sequence);
  }

  /** The file that follows in time; what retention removed in between is passed over. */
  after(sequence: number): LogFile | undefined {
    return this.#files.find((file) => file.sequence > sequence);
  }

  /** The newest file, named but not made yet; the folders exist afterwards. */
  begin(): LogFile {
    const newest = this.newest;
    // A crash between renaming the chain and making the new file leaves a newest one with a number.
    const growing = newest !== undefined && !newest.compressed;
    if (growing && (this.naming.kind === 'sequence' || newest.path === this.naming.path)) return newest;
    return this.#add();
  }

  /** Makes room for a new newest file: renames the chain, or counts on. The writer has closed the old one. */
  rotate(): LogFile {
    if (this.naming.kind === 'chain') {
      for (const [index, file] of this.#files.entries()) {
        const number = this.#files.length - index;
        const path = `${this.naming.path}.${number}${file.compressed ? '.gz' : ''}`;
        if (path === file.path) continue;
        renameSync(file.path, path);
        file.path = path;
      }
    }
    return this.#add();
  }

  removeOldest(): LogFile | undefined {
    const file = this.#files.shift();
    if (file !== undefined) this.#unlink(file);
    return file;
  }

  /** Everything, the folder's other content excepted. */
  removeAll(): void {
    while (this.#files.length > 0) this.removeOldest();
  }

  indexPath(file: LogFile): string {
    const inode = statSync(file.path).ino;
    return this.indexPathOf(inode);
  }

  indexPathOf(inode: number): string {
    return join(this.indexFolder, `${inode}.idx`);
  }

  get indexFolder(): string {
    return join(this.naming.kind === 'chain' ? dirname(this.naming.path) : this.naming.path, 'index');
  }

  #add(): LogFile {
    const sequence = (this.newest?.sequence ?? 0) + 1;
    const { kind, path } = this.naming;
    mkdirSync(this.indexFolder, { recursive: true, mode: 0o710 });
    const file: LogFile = {
      sequence,
      path: kind === 'chain' ? path : join(path, `${String(sequence).padStart(8, '0')}${sequenceSuffix}`),
      compressed: false,
      removed: false,
    };
    this.#files.push(file);
    return file;
  }

  #unlink(file: LogFile): void {
    try {
      removeTimeIndex(this.indexPath(file));
    } catch {
      // Gone already: no index either.
    }
    rmSync(file.path, { force: true });
    file.removed = true;
  }
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function listChain(path: string): LogFile[] {
  const name = basename(path);
  const found: { number: number; path: string; compressed: boolean }[] = [];
  for (const entry of entriesOf(dirname(path))) {
    if (!entry.startsWith(name)) continue;
    const [, digits, gz] = /^(?:\.(\d+)(\.gz)?)?$/.exec(entry.slice(name.length)) ?? [];
    const bare = entry === name;
    if (!bare && digits === undefined) continue;
    found.push({ number: Number(digits ?? 0), path: join(dirname(path), entry), compressed: gz !== undefined });
  }
  // A crash between compressing and removing leaves both forms: the plain one is complete.
  found.sort((a, b) => b.number - a.number || Number(b.compressed) - Number(a.compressed));
  const files = found.filter((file, index) => found[index + 1]?.number !== file.number);
  return files.map((file, index) => ({
    sequence: index + 1,
    path: file.path,
    compressed: file.compressed,
    removed: false,
  }));
}

function listSequence(folder: string): LogFile[] {
  const bySequence = new Map<number, LogFile>();
  for (const entry of entriesOf(folder).sort().reverse()) {
    const [, digits, gz] = /^(\d{8,})\.journal(\.gz)?$/.exec(entry) ?? [];
    if (digits === undefined) continue;
    const sequence = Number(digits);
    // Reverse order: the compressed form comes first and the plain one, which is complete, replaces it.
    bySequence.set(sequence, { sequence, path: join(folder, entry), compressed: gz !== undefined, removed: false });
  }
  return [...bySequence.values()].sort((a, b) => a.sequence - b.sequence);
}
