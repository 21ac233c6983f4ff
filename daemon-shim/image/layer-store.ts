/**
 * Layers on disk. A layer is known by its diff ID (sha256 of its uncompressed tar) and unpacked once, whatever images and
 * positions it has: overlayfs stacks folders, it does not care what was below when they were made.
 *
 *     DATA_ROOT/layers/NAME      the unpacked layer; NAME is short, because 4096 bytes hold a whole stack of them
 *     DATA_ROOT/layers/init      init-layer.ts
 *     DATA_ROOT/blobs/DIFF       its tar as it came, compressed: `docker save` gives back the same bytes
 *     DATA_ROOT/tmp/…            what is being made; emptied at the start
 */
import { createHash, type Hash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import { removeTree } from '../../plugins/linux/remove-tree.ts';
import { syncFileSystem } from '../../plugins/linux/special-file.ts';
import type { Store, Table } from '../../plugins/store/store.ts';
import { ApiError } from '../api/api-error.ts';
import { decompress } from '../archive/compression.ts';
import { TarReader } from '../archive/tar-reader.ts';
import { initLayerName, makeInitLayer } from './init-layer.ts';
import { LayerExtractor } from './layer-extract.ts';

export interface LayerRecord {
  /** `sha256:…` of the uncompressed tar. */
  readonly diffId: string;
  /** Its folder below layers/. */
  readonly name: string;
  /** Bytes of its files. */
  readonly size: number;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
}

export interface LayerSource {
  /** The layer's tar, of any compression. */
  readonly chunks: AsyncIterable<Buffer>;
  /** What the image says that it is; an error when it is something else. */
  readonly diffId?: string;
  /** Bytes of uncompressed tar that have been read. */
  readonly onProgress?: (bytes: number) => void;
}

export interface PinnedLayer {
  readonly layer: LayerRecord;
  readonly release: () => void;
}

export class LayerStore {
  readonly #table: Table<LayerRecord>;
  readonly #dataRoot: string;
  /** Diff ID → users that no image record shows yet. */
  readonly #pins = new Map<string, number>();

  constructor(store: Store, dataRoot: string) {
    this.#table = store.table<LayerRecord>('layer', { version: 1 });
    this.#dataRoot = dataRoot;
    for (const name of ['layers', 'blobs', 'tmp']) mkdirSync(join(dataRoot, name), { recursive: true, mode: 0o710 });
    makeInitLayer(this.folder);
  }

  find(diffId: string): LayerRecord | undefined {
    return this.#table.get(diffId);
  }

  get(diffId: string): LayerRecord {
    const layer = this.find(diffId);
    if (layer === undefined) throw new ApiError(500, `layer ${diffId} is missing`);
    return layer;
  }

  list(): LayerRecord[] {
    return this.#table.entries().map(([, layer]) => layer);
  }

  /** The folder that holds all of them; overlayfs is given their names below it. */
  get folder(): string {
    return join(this.#dataRoot, 'layers');
  }

  path(layer: LayerRecord): string {
    return join(this.folder, layer.name);
  }

  /** A new empty folder for what is being made; the caller removes it. */
  makeTemporary(): string {
    const path = join(this.#dataRoot, 'tmp', randomBytes(8).toString('hex'));
    mkdirSync(path, { mode: 0o700 });
    return path;
  }

  /** Keeps a layer that no image refers to yet; call the result when one does, or when none will. */
  pin(diffId: string): () => void {
    this.#pins.set(diffId, (this.#pins.get(diffId) ?? 0) + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      const count = (this.#pins.get(diffId) ?? 1) - 1;
      if (count > 0) this.#pins.set(diffId, count);
      else this.#pins.delete(diffId);
    };
  }

  /**
   * Unpacks a layer, or reads to its end one that is here already. Everything is on disk when this resolves. The layer is
   * pinned: the caller releases it once an image refers to it, or none will.
   */
  async add(source: LayerSource): Promise<PinnedLayer> {
    const work = this.makeTemporary();
    const tree = join(work, 'tree');
    mkdirSync(tree, { mode: 0o755 });
    let release: (() => void) | undefined;
    try {
      const made = await unpack(source, tree, join(work, 'blob'));
      if (source.diffId !== undefined && made.diffId !== source.diffId) {
        throw new ApiError(400, `invalid diffID for layer: expected "${source.diffId}", got "${made.diffId}"`);
      }
      release = this.pin(made.diffId);
      if (this.find(made.diffId) === undefined) await syncFileSystem(work);
      const layer = this.find(made.diffId) ?? this.#keep(made, tree, join(work, 'blob'));
      return { layer, release };
    } catch (error) {
      release?.();
      throw error;
    } finally {
      await removeTree(work);
    }
  }

  #keep(made: Omit<LayerRecord, 'name'>, tree: string, blob: string): LayerRecord {
    const layer: LayerRecord = { ...made, name: this.#freeName() };
    // Folders without a record go at the next start: the record comes last.
    renameSync(tree, this.path(layer));
    renameSync(blob, this.#blobPath(layer.diffId));
    this.#table.put(layer.diffId, layer);
    return layer;
  }

  /** The uncompressed tar, byte for byte as it came. */
  async *readTar(layer: LayerRecord): AsyncGenerator<Buffer> {
    const hash = createHash('sha256');
    for await (const chunk of decompress(createReadStream(this.#blobPath(layer.diffId), { highWaterMark: 1 << 18 }))) {
      hash.update(chunk);
      yield chunk;
    }
    const found = digestOf(hash);
    if (found !== layer.diffId) throw new ApiError(500, `layer ${layer.diffId} is damaged: its digest is ${found}`);
  }

  /**
   * Removes layers that nothing uses; `used` are the diff IDs that images and containers need. They are out of the way when
   * this returns; their files go in the background, or at the next start.
   */
  collect(used: ReadonlySet<string>): void {
    const unused = this.list().filter((layer) => !used.has(layer.diffId) && !this.#pins.has(layer.diffId));
    // Records first: what is left of a removal cut short has no record, and goes at the next start.
    for (const layer of unused) this.#table.delete(layer.diffId);
    for (const layer of unused) {
      rmSync(this.#blobPath(layer.diffId), { force: true });
      const doomed = this.#doomedPath(layer.name);
      renameSync(this.path(layer), doomed);
      removeTree(doomed).catch(() => {});
    }
  }

  /** At the start, before anything is loaded: what a crash left half made, or half removed. Files go in the background. */
  removeLeftovers(): void {
    const layers = this.list();
    const names = new Set([initLayerName, ...layers.map((layer) => layer.name)]);
    const blobs = new Set(layers.map((layer) => blobName(layer.diffId)));
    for (const path of this.#entries('layers').filter((layer) => !names.has(lastPart(layer)))) {
      renameSync(path, this.#doomedPath(lastPart(path)));
    }
    for (const path of this.#entries('blobs').filter((blob) => !blobs.has(lastPart(blob))))
      rmSync(path, { force: true });
    for (const path of this.#entries('tmp')) removeTree(path).catch(() => {}); // the next start tries again
  }

  #doomedPath(name: string): string {
    return join(this.#dataRoot, 'tmp', `${name}-${randomBytes(8).toString('hex')}`);
  }

  #entries(folder: string): string[] {
    return readdirSync(join(this.#dataRoot, folder)).map((name) => join(this.#dataRoot, folder, name));
  }

  #blobPath(diffId: string): string {
    return join(this.#dataRoot, 'blobs', blobName(diffId));
  }

  /** Letters and digits, three of them until most such names are taken; a number first, so that it is never a word. */
  #freeName(): string {
    const taken = new Set(readdirSync(this.folder));
    for (let length = 3; ; length += 1) {
      for (let attempt = 0; attempt < 16; attempt += 1) {
        const random = randomBytes(6).readUIntBE(0, 6) % (10 * 36 ** (length - 1));
        const name = `${random % 10}${Math.floor(random / 10)
          .toString(36)
          .padStart(length - 1, '0')}`;
        if (!taken.has(name)) return name;
      }
    }
  }
}

/** Decompresses, checks the digest, unpacks and compresses anew, all in one pass. */
async function unpack(source: LayerSource, tree: string, blobPath: string): Promise<Omit<LayerRecord, 'name'>> {
  const hash = createHash('sha256');
  const extractor = new LayerExtractor(tree);
  const reader = new TarReader(extractor);
  const blob = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  const file = createWriteStream(blobPath, { mode: 0o600 });
  const written = finished(blob.pipe(file));
  blob.on('error', (error) => file.destroy(error));
  written.catch(() => {});
  let tarSize = 0;
  try {
    for await (const chunk of decompress(source.chunks)) {
      hash.update(chunk);
      tarSize += chunk.length;
      reader.push(chunk);
      if (!blob.write(chunk)) await Promise.race([once(blob, 'drain'), written]);
      source.onProgress?.(tarSize);
    }
    reader.finish();
    extractor.finish();
    blob.end();
    await written;
  } catch (error) {
    extractor.abort();
    blob.destroy();
    file.destroy();
    throw asLoadError(error);
  }
  return { diffId: digestOf(hash), size: extractor.size, tarSize };
}

/** What is wrong with the archive is the client's doing. */
export function asLoadError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new ApiError(500, 'no space left on device', { cause: error });
  return new ApiError(
    400,
    message === 'invalid tar header' ? `archive/tar: ${message}` : `Error processing tar file: ${message}`,
    {
      cause: error,
    },
  );
}

export function digestOf(hash: Hash): string {
  return `sha256:${hash.digest('hex')}`;
}

function blobName(diffId: string): string {
  return diffId.slice('sha256:'.length);
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
