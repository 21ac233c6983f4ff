/**
 * Unpacks one layer into a folder that nobody else writes to, in the form in which overlayfs reads it: a deleted name
 * (`.wh.NAME`) is a character device 0/0, a folder that hides what is below (`.wh..wh..opq`) has trusted.overlay.opaque=y.
 * OCI image specification, "Layer", section "Whiteouts"; <kernel>/Documentation/filesystems/overlayfs.rst.
 *
 * Names are resolved as inside a chroot: a link of the archive, absolute or with `..`, never leads out of the folder. A name
 * that itself climbs out is refused.
 */
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  rmSync,
  type Stats,
  statfsSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { KernelError } from '../../plugins/linux/errors.ts';
import { makeNode, setXattr } from '../../plugins/linux/special-file.ts';
import { badRequest } from '../api/api-error.ts';
import { bytesPath, bytesText, shownName, type TarEntry } from '../archive/tar-entry.ts';
import type { TarHandler } from '../archive/tar-reader.ts';
import { resolveInRoot } from '../runtime/root-file.ts';

const whiteoutPrefix = '.wh.';
const metaPrefix = '.wh..wh.';
const opaqueName = '.wh..wh..opq';

const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;

/** The disk is looked at each time so much has been written, or so many entries made. */
const spaceCheckBytes = 64 << 20;
const spaceCheckEntries = 10_000;
/** So much is left for everybody else: a bomb is stopped before the disk is full. */
const reservedBytes = 128 << 20;
const reservedInodes = 4096;

const maxKnownFolders = 10_000;

export interface ExtractOptions {
  /** False keeps `.wh.` names as they are: an archive that is a whole tree, not a layer. Default true. */
  readonly whiteouts?: boolean;
  /** Folder below the root that the names of the archive start at; it exists. Links lead to where they lead from the root. */
  readonly base?: string;
  /** Instead of the owners that the archive names. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** A folder is not replaced by something else, nor something else by a folder. */
  readonly keepKinds?: boolean;
}

export class LayerExtractor implements TarHandler {
  readonly #root: string;
  readonly #whiteouts: boolean;
  readonly #base: readonly string[];
  readonly #owner: ExtractOptions['owner'];
  readonly #keepKinds: boolean;
  /** Folders that are known to be real ones, by name in the archive; dropped whenever a folder is replaced. */
  #folders = new Map<string, string>();
  /** Times are set last: what is made inside a folder changes them. */
  readonly #folderTimes = new Map<string, number>();
  #file: { readonly fd: number; readonly entry: TarEntry; readonly path: string } | undefined;
  #size = 0;
  #sinceCheck = { bytes: 0, entries: 0 };

  /** `root` exists and is empty. */
  constructor(root: string, options: ExtractOptions = {}) {
    this.#root = bytesText(root);
    this.#whiteouts = options.whiteouts ?? true;
    this.#base = pathParts(bytesText(options.base ?? ''));
    this.#owner = options.owner;
    this.#keepKinds = options.keepKinds ?? false;
    this.#folders.set('', this.#root);
  }

  /** Bytes of all files, and of the targets of links, as Docker counts an image's size. */
  get size(): number {
    return this.#size;
  }

  entry(given: TarEntry): void {
    this.#checkSpace(0, 1);
    const entry = this.#owner === undefined ? given : { ...given, ...this.#owner };
    const parts = [...this.#base, ...pathParts(entry.name)];
    const name = parts.pop();
    if (name === undefined) {
      // The root folder itself.
      if (entry.type === 'directory') this.#applyFolder(this.#root, entry);
      return;
    }
    const parent = this.#parentFolder(parts, entry.name);
    const path = `${parent}/${name}`;
    if (this.#whiteouts && name.startsWith(whiteoutPrefix)) this.#whiteout(parent, name);
    else if (this.#makeRoom(path, entry)) this.#make(path, entry);
    else this.#applyFolder(path, entry);
  }

  data(chunk: Buffer): void {
    if (this.#file === undefined) return;
    this.#checkSpace(chunk.length, 0);
    this.#size += chunk.length;
    for (let at = 0; at < chunk.length; ) at += writeSync(this.#file.fd, chunk, at);
  }

  end(): void {
    if (this.#file === undefined) return;
    const { fd, entry, path } = this.#file;
    this.#file = undefined;
    try {
      fchownSync(fd, entry.uid, entry.gid);
      fchmodSync(fd, entry.mode); // after the owner, which takes the set-id bits away
      applyXattrs(path, entry);
      futimesSync(fd, entry.mtime, entry.mtime);
    } finally {
      closeSync(fd);
    }
  }

  /** After the last entry. */
  finish(): void {
    for (const [path, mtime] of this.#folderTimes) lutimesSync(bytesPath(path), mtime, mtime);
  }

  /** Closes what is open; the folder is the caller's to remove. */
  abort(): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
  }

  #make(path: string, entry: TarEntry): void {
    const target = bytesPath(path);
    switch (entry.type) {
      case 'file':
        this.#file = { fd: openSync(target, 'wx', 0o600), entry, path };
        return;
      case 'directory':
        mkdirSync(target);
        this.#applyFolder(path, entry);
        return;
      case 'symlink':
        this.#size += entry.linkName.length;
        symlinkSync(bytesPath(entry.linkName), target);
        break;
      case 'link':
        this.#makeLink(path, entry);
        return; // owner, mode and times are those of the file that it names
      case 'character':
        makeNode(target, S_IFCHR | 0o600, entry.devMajor, entry.devMinor);
        break;
      case 'block':
        makeNode(target, S_IFBLK | 0o600, entry.devMajor, entry.devMinor);
        break;
      case 'fifo':
        makeNode(target, S_IFIFO | 0o600, 0, 0);
        break;
    }
    lchownSync(target, entry.uid, entry.gid);
    if (entry.type !== 'symlink') chmodSync(target, entry.mode);
    applyXattrs(path, entry);
    lutimesSync(target, entry.mtime, entry.mtime);
  }

  #makeLink(path: string, entry: TarEntry): void {
    const parts = [...this.#base, ...pathParts(entry.linkName)];
    const name = parts.pop();
    if (name === undefined)
      throw badRequest(`invalid hardlink "${shownName(entry.name)}" -> "${shownName(entry.linkName)}"`);
    const existing = `${this.#parentFolder(parts, entry.linkName)}/${name}`;
    try {
      linkSync(bytesPath(existing), bytesPath(path));
    } catch (error) {
      throw badRequest(
        `invalid hardlink "${shownName(entry.name)}" -> "${shownName(entry.linkName)}": ${(error as NodeJS.ErrnoException).code}`,
      );
    }
  }

  #whiteout(parent: string, name: string): void {
    if (name === opaqueName) {
      setXattr(bytesPath(parent), 'trusted.overlay.opaque', Buffer.from('y'));
      return;
    }
    if (name.startsWith(metaPrefix)) return; // aufs's own bookkeeping
    const path = `${parent}/${name.slice(whiteoutPrefix.length)}`;
    if (path === `${parent}/` || path === `${parent}/.` || path === `${parent}/..`) return;
    this.#remove(path);
    makeNode(bytesPath(path), S_IFCHR, 0, 0);
  }

  /** Later entries win over earlier ones of the same name. False when the entry is a folder that is there already. */
  #makeRoom(path: string, entry: TarEntry): boolean {
    const found = statOf(path);
    if (found === undefined) return true;
    if (found.isDirectory() && entry.type === 'directory') return false;
    if (this.#keepKinds && found.isDirectory())
      throw badRequest(`cannot overwrite directory "${shownName(path)}" with non-directory "${shownName(entry.name)}"`);
    if (this.#keepKinds && entry.type === 'directory')
      throw badRequest(`cannot overwrite non-directory "${shownName(path)}" with directory "${shownName(entry.name)}"`);
    this.#remove(path, found);
    return true;
  }

  #remove(path: string, found: Stats | undefined = statOf(path)): void {
    if (found === undefined) return;
    if (!found.isDirectory()) {
      this.#size -= found.size;
      unlinkSync(bytesPath(path));
      return;
    }
    rmSync(bytesPath(path), { recursive: true, force: true });
    this.#folders = new Map([['', this.#root]]);
    for (const known of this.#folderTimes.keys()) {
      if (known === path || known.startsWith(`${path}/`)) this.#folderTimes.delete(known);
    }
  }

  #applyFolder(path: string, entry: TarEntry): void {
    const target = bytesPath(path);
    lchownSync(target, entry.uid, entry.gid);
    chmodSync(target, entry.mode);
    applyXattrs(path, entry);
    this.#folderTimes.set(path, entry.mtime);
  }

  /** The folder on disk that holds the entry; folders that the archive does not mention are made. */
  #parentFolder(parts: readonly string[], shown: string): string {
    const name = parts.join('/');
    const known = this.#folders.get(name);
    if (known !== undefined) return known;
    const path = this.#resolve(parts, shown);
    if (this.#folders.size > maxKnownFolders) this.#folders = new Map([['', this.#root]]);
    this.#folders.set(name, path);
    return path;
  }

  #resolve(parts: readonly string[], shown: string): string {
    let path = this.#root;
    for (const [index, part] of parts.entries()) {
      path = `${path}/${part}`;
      const found = statOf(path);
      if (found?.isDirectory()) continue;
      if (found?.isSymbolicLink()) return this.#resolveLink(parts, shown);
      if (found !== undefined) {
        throw badRequest(
          `invalid entry "${shownName(shown)}": "${shownName(parts.slice(0, index + 1).join('/'))}" is no folder`,
        );
      }
      mkdirSync(bytesPath(path), 0o755);
    }
    return path;
  }

  /** Rare: an entry below a link of the same archive. */
  #resolveLink(parts: readonly string[], shown: string): string {
    const path = bytesText(resolveInRoot(shownName(this.#root), shownName(parts.join('/'))));
    const found = statOf(path);
    if (found === undefined) mkdirSync(bytesPath(path), { recursive: true, mode: 0o755 });
    else if (!found.isDirectory()) throw badRequest(`invalid entry "${shownName(shown)}": its folder is none`);
    return path;
  }

  #checkSpace(bytes: number, entries: number): void {
    this.#sinceCheck.bytes += bytes;
    this.#sinceCheck.entries += entries;
    if (this.#sinceCheck.bytes < spaceCheckBytes && this.#sinceCheck.entries < spaceCheckEntries) return;
    this.#sinceCheck = { bytes: 0, entries: 0 };
    checkDiskSpace(shownName(this.#root));
  }
}

/** Throws 400 `no space left on device` while there is still some for others. */
export function checkDiskSpace(folder: string): void {
  const { bavail, bsize, files, ffree } = statfsSync(folder);
  if (bavail * bsize < reservedBytes)
    throw badRequest(`no space left on device: less than 128 MB free below ${folder}`);
  if (files > 0 && ffree < reservedInodes) throw badRequest(`no space left on device: no inodes free below ${folder}`);
}

/** `./a//b/` is a, b. Throws 400 for a name that climbs out, or that no file can have. */
export function pathParts(name: string): string[] {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) throw badRequest(`"${shownName(name)}" is outside of the archive's root`);
  }
  if (parts.some((part) => part.length > 255 || part.includes('\0'))) {
    throw badRequest(`invalid entry "${shownName(name).slice(0, 80)}…": file name too long`);
  }
  return parts;
}

/** Attributes that steer overlayfs are the engine's own; those that the file system cannot hold are left out, as Docker does. */
function applyXattrs(path: string, entry: TarEntry): void {
  for (const [name, value] of Object.entries(entry.xattrs)) {
    if (name.startsWith('trusted.') || name.startsWith('user.overlay.')) continue;
    try {
      setXattr(bytesPath(path), name, Buffer.from(value, 'latin1'));
    } catch (error) {
      if (!(error instanceof KernelError) || !['EOPNOTSUPP', 'EPERM', 'EINVAL'].includes(error.code)) throw error;
    }
  }
}

function statOf(path: string): Stats | undefined {
  return lstatSync(bytesPath(path), { throwIfNoEntry: false });
}
