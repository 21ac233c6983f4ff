/**
 * `docker diff`: what the container's upper folder says against the layers below it. A name is listed when it is new, gone, or when its owner,
 * mode, size or time differ (of a folder, owner or mode); a folder also when something in it is listed.
 */
import { lstatSync, mkdtempSync, readdirSync, rmdirSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { check, libc, MNT_DETACH } from '../../plugins/linux/syscall.ts';
import { bytesPath, bytesText, shownName } from '../archive/tar-entry.ts';
import { isOpaque, isWhiteout } from '../archive/tree-archive.ts';
import { entriesAtOnce, type TreeNode, walkTree } from '../archive/tree-walk.ts';
import type { Engine } from '../engine.ts';
import { withOverlayOptions } from '../image/overlay-options.ts';
import { containerFolder } from './folder.ts';
import type { Container } from './registry.ts';
import { lowerLayers } from './root-mount.ts';

/** 0 modified, 1 added, 2 deleted, as the API numbers them. */
export interface ChangedFile {
  readonly Path: string;
  readonly Kind: 0 | 1 | 2;
}

export async function changedFiles(engine: Engine, container: Container): Promise<ChangedFile[]> {
  const { upper } = containerFolder(engine.config, container.id);
  if (lstatSync(upper, { throwIfNoEntry: false }) === undefined) return [];
  return await withLowerView(engine, container, (lower) => compare(upper, lower));
}

async function compare(upper: string, lower: string): Promise<ChangedFile[]> {
  const kinds = new Map<string, 0 | 1 | 2>();
  /** Folders with nothing below them, or a link there, which must not be followed. */
  const fresh = new Set<string>();
  let count = 0;
  for (const node of walkTree(upper)) {
    if (++count % entriesAtOnce === 0) await setImmediate();
    if (node.name === '') continue;
    const below = fresh.has(parentOf(node.name)) ? undefined : statBelow(lower, node.name);
    if (node.stat.isDirectory() && !below?.isDirectory()) fresh.add(node.name);
    if (isWhiteout(node)) {
      if (below !== undefined) add(kinds, node.name, 2);
      continue;
    }
    if (isOpaque(node)) for (const name of hiddenNames(node, lower)) add(kinds, name, 2);
    if (below === undefined) add(kinds, node.name, 1);
    else if (differs(node.stat, below)) add(kinds, node.name, 0);
  }
  return [...kinds].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, Kind]) => ({ Path: `/${shownName(name)}`, Kind }));
}

function parentOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('/')));
}

/** The folders above a change are changed, too. */
function add(kinds: Map<string, 0 | 1 | 2>, name: string, kind: 0 | 1 | 2): void {
  kinds.set(name, kind);
  for (let at = name.lastIndexOf('/'); at > 0; at = name.lastIndexOf('/', at - 1)) {
    const parent = name.slice(0, at);
    if (!kinds.has(parent)) kinds.set(parent, 0);
  }
}

/** What was in a folder that the container replaced by a new one. */
function hiddenNames(node: TreeNode, lower: string): string[] {
  if (!statBelow(lower, node.name)?.isDirectory()) return [];
  return readdirSync(bytesPath(`${bytesText(lower)}/${node.name}`), 'latin1')
    .filter((name) => lstatSync(bytesPath(`${node.path}/${name}`), { throwIfNoEntry: false }) === undefined)
    .map((name) => `${node.name}/${name}`);
}

function differs(above: Stats, below: Stats): boolean {
  if (above.mode !== below.mode || above.uid !== below.uid || above.gid !== below.gid) return true;
  if (above.rdev !== below.rdev) return true;
  return !above.isDirectory() && (above.mtimeMs !== below.mtimeMs || above.size !== below.size);
}

function statBelow(lower: string, name: string): Stats | undefined {
  try {
    return lstatSync(bytesPath(`${bytesText(lower)}/${name}`), { throwIfNoEntry: false });
  } catch (error) {
    // A parent is a file there.
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** The layers alone, mounted read-only while `look` runs. */
async function withLowerView<T>(
  engine: Engine,
  container: Container,
  look: (folder: string) => Promise<T>,
): Promise<T> {
  const { data } = containerFolder(engine.config, container.id);
  const folder = mkdtempSync(join(data, 'lower-'));
  withOverlayOptions(lowerLayers(engine, container), (data) =>
    check(libc.mount('overlay', folder, 'overlay', 0, data), 'mount', folder),
  );
  try {
    return await look(folder);
  } finally {
    check(libc.umount2(folder, MNT_DETACH), 'umount2', folder);
    rmdirSync(folder);
  }
}
