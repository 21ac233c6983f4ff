/**
 * Makes a folder below a base, and its parents, without ever following a symbolic link: each step opens through the
 * descriptor of the one before (/proc/self/fd/N/NAME is openat(2)). What exists stays as it is.
 */
import { chmodSync, chownSync, closeSync, constants, mkdirSync, openSync } from 'node:fs';

export interface FolderOwner {
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
}

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Owner and mode go to the folders that are made. Throws the error of node:fs; ELOOP or ENOTDIR where a link is in the way. */
export function makeFolders(base: string, parts: readonly string[], owner: FolderOwner): void {
  let parent = openSync(base, folderFlags);
  try {
    for (const part of parts) {
      const path = `/proc/self/fd/${parent}/${part}`;
      const made = makeFolder(path);
      const folder = openSync(path, folderFlags);
      closeSync(parent);
      parent = folder;
      if (made) applyOwner(`/proc/self/fd/${parent}`, owner);
    }
  } finally {
    closeSync(parent);
  }
}

function makeFolder(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function applyOwner(path: string, { uid, gid, mode }: FolderOwner): void {
  if (uid !== undefined || gid !== undefined) chownSync(path, uid ?? -1, gid ?? -1);
  // After chown, which takes the set-id bits away.
  if (mode !== undefined) chmodSync(path, mode);
}
