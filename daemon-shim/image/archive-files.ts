/**
 * The files of an image archive, spooled to a temporary folder: which of them are layers is known only from a manifest,
 * and that may come last. Nothing of the archive's own names reaches the disk: files are numbered.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { badRequest } from '../api/api-error.ts';
import { decompress } from '../archive/compression.ts';
import { shownName, type TarEntry } from '../archive/tar-entry.ts';
import { type TarHandler, TarReader } from '../archive/tar-reader.ts';
import { checkDiskSpace, pathParts } from './layer-extract.ts';
import { digestOf } from './layer-store.ts';

export interface ArchiveFile {
  readonly path: string;
  readonly size: number;
  /** `sha256:…` of its bytes. */
  readonly digest: string;
}

/** An image has tens of files; an archive of very many images has thousands. */
const maxFiles = 100_000;
/** Configurations and manifests; Docker's own limit for a manifest is 4 MB. */
const maxJsonBytes = 8 << 20;
const maxLinks = 10;
const spaceCheckBytes = 64 << 20;

export class ArchiveFiles implements TarHandler {
  readonly #folder: string;
  readonly #files = new Map<string, ArchiveFile>();
  /** docker 20.10 saves a layer that two images share as a link to the first. */
  readonly #links = new Map<string, string>();
  #open: { readonly fd: number; readonly name: string; readonly path: string; readonly hash: Hash } | undefined;
  #size = 0;
  #sinceCheck = 0;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Reads the archive to its end. Throws TarError and ApiError. */
  static async read(source: AsyncIterable<Buffer>, folder: string): Promise<ArchiveFiles> {
    const files = new ArchiveFiles(folder);
    const reader = new TarReader(files);
    try {
      for await (const chunk of decompress(source)) reader.push(chunk);
      reader.finish();
    } finally {
      if (files.#open !== undefined) closeSync(files.#open.fd);
    }
    return files;
  }

  entry(entry: TarEntry): void {
    const parts = pathParts(entry.name);
    const name = parts.join('/');
    if (this.#files.size + this.#links.size >= maxFiles)
      throw badRequest(`the archive has more than ${maxFiles} files`);
    if (entry.type === 'symlink')
      this.#links.set(name, pathParts([...parts.slice(0, -1), entry.linkName].join('/')).join('/'));
    else if (entry.type === 'link') this.#links.set(name, pathParts(entry.linkName).join('/'));
    else if (entry.type === 'file') {
      const path = join(this.#folder, String(this.#files.size));
      this.#size = 0;
      this.#open = { fd: openSync(path, 'w', 0o600), name, path, hash: createHash('sha256') };
    }
  }

  data(chunk: Buffer): void {
    if (this.#open === undefined) return;
    this.#sinceCheck += chunk.length;
    if (this.#sinceCheck > spaceCheckBytes) {
      this.#sinceCheck = 0;
      checkDiskSpace(this.#folder);
    }
    this.#open.hash.update(chunk);
    this.#size += chunk.length;
    for (let at = 0; at < chunk.length; ) at += writeSync(this.#open.fd, chunk, at);
  }

  end(): void {
    if (this.#open === undefined) return;
    const { fd, name, path, hash } = this.#open;
    this.#open = undefined;
    closeSync(fd);
    if (!this.#files.has(name)) this.#files.set(name, { path, size: this.#size, digest: digestOf(hash) });
  }

  find(name: string): ArchiveFile | undefined {
    let wanted = pathParts(Buffer.from(name).toString('latin1')).join('/');
    for (let links = 0; links < maxLinks; links += 1) {
      const file = this.#files.get(wanted);
      if (file !== undefined) return file;
      const target = this.#links.get(wanted);
      if (target === undefined) return undefined;
      wanted = target;
    }
    return undefined;
  }

  get(name: string): ArchiveFile {
    const file = this.find(name);
    if (file === undefined) throw badRequest(`invalid archive: it has no ${shownName(name)}`);
    return file;
  }

  /** By content: `sha256:…`. Throws when the blob is not there, or is something else than its name says. */
  blob(digest: string): ArchiveFile {
    if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw badRequest(`invalid digest "${digest}": only sha256 is supported`);
    const file = this.get(`blobs/sha256/${digest.slice('sha256:'.length)}`);
    if (file.digest !== digest) throw badRequest(`blob ${digest} is damaged: its digest is ${file.digest}`);
    return file;
  }
}

export function readArchiveFile(file: ArchiveFile): AsyncIterable<Buffer> {
  return createReadStream(file.path, { highWaterMark: 1 << 18 });
}

/** The exact text of a JSON file of the archive; what it means is the caller's to check. */
export function readArchiveText(file: ArchiveFile, what: string): string {
  if (file.size > maxJsonBytes) throw badRequest(`invalid archive: ${what} is longer than 8 MB`);
  const bytes = readFileSync(file.path);
  const text = bytes.toString('utf8');
  // The text is kept, and its digest is the image's identity: it must be the same bytes again.
  if (!Buffer.from(text).equals(bytes)) throw badRequest(`invalid archive: ${what} is not UTF-8`);
  return text;
}

export function parseArchiveJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`invalid archive: ${what} is no JSON: ${(error as Error).message}`);
  }
}
