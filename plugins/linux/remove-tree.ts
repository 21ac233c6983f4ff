/**
 * Deletes a folder with everything in it and nothing else. Every folder is opened through its parent's descriptor
 * (/proc/self/fd/N/NAME is openat(2) with the means of node:fs), never through a symbolic link, and only when it lies on the
 * same mount as the top: a link that is planted, or a folder swapped for one, half way leads nowhere. Names are bytes, since
 * a container may write any.
 */
import { randomUUID } from 'node:crypto';
import { constants, type Dirent } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rename, rmdir, unlink } from 'node:fs/promises';
import { KernelError } from './errors.ts';

/** Folders deeper than this are first moved up to the top: each level holds a descriptor. */
const maxDepth = 64;
const unlinksAtOnce = 32;
const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

interface Walk {
  readonly topPath: Buffer;
  readonly mountId: string;
  /** Names at the top of folders moved up from below. */
  readonly moved: Buffer[];
}

/** Success when there is none. Throws KernelError EXDEV at a mount point, and leaves what is left for a next attempt. */
export async function removeTree(path: string): Promise<void> {
  const top = await open(path, folderFlags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (top === undefined) return;
  try {
    const walk: Walk = { topPath: folderPath(top), mountId: await mountIdOf(top), moved: [] };
    await emptyFolder(top, walk, 0);
    for (let name = walk.moved.pop(); name !== undefined; name = walk.moved.pop()) {
      await removeFolder(walk.topPath, name, walk, 1);
    }
  } finally {
    await top.close();
  }
  await rmdir(path);
}

async function emptyFolder(folder: FileHandle, walk: Walk, depth: number): Promise<void> {
  const path = folderPath(folder);
  const entries = await readdir(path, { withFileTypes: true, encoding: 'buffer' });
  const files = entries.filter((entry) => !isFolder(entry));
  for (let index = 0; index < files.length; index += unlinksAtOnce) {
    await Promise.all(files.slice(index, index + unlinksAtOnce).map((entry) => unlinkIfThere(below(path, entry.name))));
  }
  for (const entry of entries.filter(isFolder)) {
    if (depth < maxDepth) await removeFolder(path, entry.name, walk, depth + 1);
    else {
      const name = Buffer.from(`.deep-${randomUUID()}`);
      await rename(below(path, entry.name), below(walk.topPath, name));
      walk.moved.push(name);
    }
  }
}

async function removeFolder(parent: Buffer, name: Buffer, walk: Walk, depth: number): Promise<void> {
  const path = below(parent, name);
  const folder = await open(path, folderFlags).catch(async (error: NodeJS.ErrnoException) => {
    // It was a folder when it was listed: somebody swapped it for a link or a file, which is only unlinked.
    if (error.code === 'ENOTDIR' || error.code === 'ELOOP') await unlinkIfThere(path);
    else if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (folder === undefined) return;
  try {
    if ((await mountIdOf(folder)) !== walk.mountId) {
      throw new KernelError({ errno: 18, call: 'remove', args: String(name), detail: 'something is mounted there' });
    }
    await emptyFolder(folder, walk, depth);
  } finally {
    await folder.close();
  }
  await rmdir(path);
}

async function unlinkIfThere(path: Buffer): Promise<void> {
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

/** st_dev does not tell a bind mount of the same file system; the mount's own number does (proc_pid_fdinfo(5)). */
async function mountIdOf(folder: FileHandle): Promise<string> {
  const info = await readFile(`/proc/self/fdinfo/${folder.fd}`, 'utf8');
  return info.match(/^mnt_id:\s*(\d+)/m)?.[1] ?? '';
}

function folderPath(folder: FileHandle): Buffer {
  return Buffer.from(`/proc/self/fd/${folder.fd}`);
}

function below(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), name]);
}

function isFolder(entry: Dirent<Buffer>): boolean {
  return entry.isDirectory();
}
