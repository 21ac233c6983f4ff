/** The tar of a folder: of a whole root (`docker export`, `cp`), or of an overlayfs upper folder as a layer (`commit`). */
import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { getXattr, listXattrs } from '../../plugins/linux/special-file.ts';
import { bytesPath, type TarEntry, type TarEntryType } from './tar-entry.ts';
import { encodeHeader, endOfArchive, paddingFor } from './tar-writer.ts';
import { type TreeNode, walkTree } from './tree-walk.ts';

export interface TreeArchiveOptions {
  /** The folder is an upper folder of overlayfs: what it deletes becomes `.wh.` names. */
  readonly layer?: boolean;
}

const readBytes = 1 << 18;
const fileFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export async function* archiveTree(top: string, options: TreeArchiveOptions = {}): AsyncGenerator<Buffer> {
  /** Device and inode of files with several names → the first name. */
  const links = new Map<string, string>();
  for (const node of walkTree(top)) {
    if (node.name === '') continue;
    if (options.layer && isWhiteout(node)) yield encodeHeader(markEntry(node, whiteoutName(node.name)));
    else yield* archiveNode(node, links);
    if (options.layer && isOpaque(node)) yield encodeHeader(markEntry(node, `${node.name}/.wh..wh..opq`));
  }
  yield endOfArchive;
}

/** One file, folder (without what is in it) or link. `links` is shared by all nodes of one archive. */
export function* archiveNode(node: TreeNode, links: Map<string, string>): Generator<Buffer> {
  const type = typeOf(node);
  if (type === undefined) return; // a socket: tar has no word for it
  const { stat, name } = node;
  if (type !== 'directory' && stat.nlink > 1) {
    const key = `${stat.dev}:${stat.ino}`;
    const first = links.get(key);
    if (first !== undefined) {
      yield encodeHeader({ ...entryOf(node, 'link'), linkName: first, xattrs: {} });
      return;
    }
    links.set(key, name);
  }
  if (type === 'file') yield* archiveFile(node);
  else if (type === 'symlink')
    yield encodeHeader({ ...entryOf(node, type), linkName: readlinkSync(bytesPath(node.path), 'latin1') });
  else yield encodeHeader(entryOf(node, type));
}

/** Exactly as many bytes as the header says, whatever happens to the file meanwhile. */
function* archiveFile(node: TreeNode): Generator<Buffer> {
  let fd: number;
  try {
    fd = openSync(bytesPath(node.path), fileFlags);
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? '')) return;
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return;
    yield encodeHeader({ ...entryOf({ ...node, stat }, 'file'), size: stat.size });
    for (let left = stat.size; left > 0; ) {
      const buffer = Buffer.alloc(Math.min(left, readBytes));
      const count = readSync(fd, buffer);
      // It has become shorter: zeros, as every tar writes.
      const piece = count === 0 ? buffer : buffer.subarray(0, count);
      left -= piece.length;
      yield piece;
    }
    if (stat.size % 512 !== 0) yield paddingFor(stat.size);
  } finally {
    closeSync(fd);
  }
}

/** One node's header, without content; a folder's name ends with a slash. */
export function entryOf({ name, stat, path }: TreeNode, type: TarEntryType): TarEntry {
  const device = type === 'character' || type === 'block' ? stat.rdev : 0;
  return {
    name: type === 'directory' ? `${name}/` : name,
    type,
    linkName: '',
    size: 0,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    mtime: Math.floor(stat.mtimeMs / 1000),
    devMajor: majorOf(device),
    devMinor: minorOf(device),
    xattrs: type === 'symlink' ? {} : xattrsOf(path),
  };
}

export function typeOf({ stat }: TreeNode): TarEntryType | undefined {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isCharacterDevice()) return 'character';
  if (stat.isBlockDevice()) return 'block';
  return stat.isFIFO() ? 'fifo' : undefined;
}

/** Capabilities and what users set; overlayfs's own marks are no part of an archive. */
function xattrsOf(path: string): Record<string, string> {
  const names = listXattrs(bytesPath(path)).filter(
    (name) => name === 'security.capability' || (name.startsWith('user.') && !name.startsWith('user.overlay.')),
  );
  const values = names.map((name) => [name, getXattr(bytesPath(path), name)?.toString('latin1')] as const);
  return Object.fromEntries(values.filter((pair): pair is readonly [string, string] => pair[1] !== undefined));
}

export function isWhiteout({ stat }: TreeNode): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0;
}

export function isOpaque({ stat, path }: TreeNode): boolean {
  return stat.isDirectory() && getXattr(bytesPath(path), 'trusted.overlay.opaque')?.toString() === 'y';
}

/** `.wh.NAME` beside where NAME was. */
function whiteoutName(name: string): string {
  const at = name.lastIndexOf('/') + 1;
  return `${name.slice(0, at)}.wh.${name.slice(at)}`;
}

/** An empty file whose name is all that it says. */
function markEntry(node: TreeNode, name: string): TarEntry {
  return { ...entryOf({ ...node, name }, 'file'), mode: 0, devMajor: 0, devMinor: 0, xattrs: {} };
}

/** gnu_dev_major(3), gnu_dev_minor(3). */
function majorOf(device: number): number {
  return Number((BigInt(device) >> 8n) & 0xfffn) | Number((BigInt(device) >> 32n) & ~0xfffn & 0xffffffffn);
}

function minorOf(device: number): number {
  return Number((BigInt(device) & 0xffn) | ((BigInt(device) >> 12n) & 0xffffff00n));
}
