/**
 * Walks a folder that somebody may be changing at the same time, a container's root, without ever leaving it: every folder is opened
 * through its parent's descriptor and never through a link (/proc/self/fd/N/NAME is openat(2) with the means of node:fs), so a
 * folder swapped for a link leads nowhere.
 */
import { closeSync, constants, lstatSync, openSync, readdirSync, type Stats } from 'node:fs';
import { bytesPath } from './tar-entry.ts';

export interface TreeNode {
  /** Below the top, without a leading slash, one character a byte; empty for the top itself. */
  readonly name: string;
  readonly stat: Stats;
  /** A path for calls that do not follow its last part, such as readlink or lgetxattr; valid until the walk goes on. */
  readonly path: string;
}

/** A long walk lets others run after so many. */
export const entriesAtOnce = 1000;

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Each folder before what is in it, names in the order of their bytes. */
export function* walkTree(top: string): Generator<TreeNode> {
  const fd = openSync(top, folderFlags);
  try {
    const path = `/proc/self/fd/${fd}`;
    yield { name: '', stat: lstatSync(`${path}/.`), path: `${path}/.` };
    yield* walkFolder(fd, '');
  } finally {
    closeSync(fd);
  }
}

function* walkFolder(fd: number, folder: string): Generator<TreeNode> {
  const base = `/proc/self/fd/${fd}`;
  const names = readdirSync(base, 'latin1').sort(compareBytes);
  for (const entry of names) {
    const path = `${base}/${entry}`;
    const stat = lstatSync(bytesPath(path), { throwIfNoEntry: false });
    if (stat === undefined) continue; // removed meanwhile
    const name = folder === '' ? entry : `${folder}/${entry}`;
    yield { name, stat, path };
    if (!stat.isDirectory()) continue;
    const child = openFolder(path);
    if (child === undefined) continue;
    try {
      yield* walkFolder(child, name);
    } finally {
      closeSync(child);
    }
  }
}

/** Undefined when it is none any more. */
function openFolder(path: string): number | undefined {
  try {
    return openSync(bytesPath(path), folderFlags);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
