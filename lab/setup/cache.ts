/**
 * The cache folder: things that take minutes to make and are the same for every checkout (root file systems, image archives).
 * Each entry is built in a folder beside its final name and renamed when complete, under a lock, so that an interrupted
 * or a second build at the same time never leaves or meets a half-made entry.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What can be in the cache: its file name carries a digest of its recipe, so that a changed recipe is built anew. */
export interface CacheEntry {
  readonly name: string;
  /** Everything that the result depends on. */
  readonly recipe: readonly string[];
  /** Makes the entry at `path`, which does not exist yet. */
  build(path: string): void;
}

export function cacheDir(): string {
  return process.env['CLEAT_CACHE'] ?? '/var/cache/cleat';
}

export function cachePath(entry: CacheEntry): string {
  const digest = createHash('sha256').update(entry.recipe.join('\n')).digest('hex').slice(0, 10);
  return join(cacheDir(), `${entry.name}-${digest}`);
}

/**
 * The entry's path, made first when it is missing. The work is done by a child process that holds the lock file
 * (`flock` gives it back when that process ends, however it ends).
 */
export function ensureCached(entry: CacheEntry, kind: string): string {
  const path = cachePath(entry);
  if (existsSync(path)) return path;
  mkdirSync(cacheDir(), { recursive: true });
  const builder = fileURLToPath(new URL('./build.ts', import.meta.url));
  const child = spawnSync('flock', ['--close', `${path}.lock`, process.execPath, builder, kind], {
    stdio: ['ignore', 2, 2],
    timeout: 20 * 60_000,
  });
  if (child.error) throw new Error(`could not build ${path}: ${child.error.message}`);
  if (child.status !== 0 || !existsSync(path)) throw new Error(`could not build ${path}; its output is above`);
  return path;
}

/** Runs in the child that holds the lock. */
export function buildEntry(entry: CacheEntry): void {
  const path = cachePath(entry);
  if (existsSync(path)) return;
  const partial = `${path}.partial`;
  rmSync(partial, { recursive: true, force: true });
  entry.build(partial);
  renameSync(partial, path);
}
