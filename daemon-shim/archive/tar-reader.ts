/**
 * Reads a tar archive from chunks of any length, synchronously: what a chunk holds has been handed on when `push` returns.
 * Memory: one header and one extended header at a time.
 */
import { blockSize, type TarEntry, TarError } from './tar-entry.ts';
import { decodeHeader, decodePax, entryType, type RawHeader, readText } from './tar-header.ts';

export interface TarHandler {
  entry(entry: TarEntry): void;
  /** Content of the entry last announced, piece by piece. */
  data(chunk: Buffer): void;
  /** Its content is complete. */
  end(): void;
}

/** As Go's archive/tar: no extended header is longer. */
const maxExtendedBytes = 1 << 20;
const xattrPrefix = 'SCHILY.xattr.';

export class TarReader {
  readonly #handler: TarHandler;
  #block: Buffer = Buffer.alloc(0);
  #state: 'header' | 'extended' | 'data' | 'skip' | 'done' = 'header';
  /** Bytes of content and of padding still to come. */
  #left = 0;
  #padding = 0;
  #extended: { readonly header: RawHeader; readonly parts: Buffer[] } | undefined;
  #pax: Map<string, string> = new Map();
  #global: Map<string, string> = new Map();
  #longName: string | undefined;
  #longLink: string | undefined;
  #sawZeros = false;
  #headers = 0;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  /** Throws TarError, and whatever the handler throws. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.#state !== 'done') {
      if (this.#left > 0) {
        const piece = chunk.subarray(at, at + this.#left);
        at += piece.length;
        this.#left -= piece.length;
        this.#content(piece);
      } else if (this.#padding > 0) {
        const skipped = Math.min(this.#padding, chunk.length - at);
        at += skipped;
        this.#padding -= skipped;
      } else {
        const wanted = blockSize - this.#block.length;
        const piece = chunk.subarray(at, at + wanted);
        at += piece.length;
        this.#block = this.#block.length === 0 ? piece : Buffer.concat([this.#block, piece]);
        if (this.#block.length < blockSize) {
          this.#block = Buffer.from(this.#block); // the chunk's memory is not ours after this call
          return;
        }
        const block = this.#block;
        this.#block = Buffer.alloc(0);
        this.#header(block);
      }
    }
  }

  /** After the last chunk. Throws TarError when the archive breaks off, or when there never was one. */
  finish(): void {
    if (this.#left > 0 || this.#block.length > 0 || this.#extended !== undefined || this.#pax.size > 0)
      throw new TarError('unexpected EOF');
    if (this.#headers === 0 && !this.#sawZeros) throw new TarError('unexpected EOF: the archive is empty');
  }

  #header(block: Buffer): void {
    const header = decodeHeader(block);
    if (header === undefined) {
      // Two blocks of zeros end the archive; whatever follows is not part of it.
      if (this.#sawZeros) this.#state = 'done';
      this.#sawZeros = true;
      return;
    }
    this.#sawZeros = false;
    this.#headers += 1;
    if ('xgLK'.includes(header.typeFlag)) {
      if (header.size > maxExtendedBytes) throw new TarError('invalid tar header: extended header too long');
      this.#extended = { header, parts: [] };
      this.#begin('extended', header.size);
      return;
    }
    this.#announce(header);
  }

  #announce(header: RawHeader): void {
    const pax = new Map([...this.#global, ...this.#pax]);
    this.#pax = new Map();
    const merged = applyPax(header, pax, this.#longName, this.#longLink);
    this.#longName = undefined;
    this.#longLink = undefined;
    const type = entryType(merged);
    if (merged.typeFlag === 'S' || [...pax.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
      throw new TarError(`sparse file in the archive: ${merged.name}; write it without --sparse`);
    }
    // Only files carry content; but what a header of another type announces is there and must be passed over.
    const size = type === 'file' || type === undefined ? merged.size : 0;
    if (type === undefined) {
      this.#begin('skip', size);
      return;
    }
    const xattrs = Object.fromEntries(
      [...pax]
        .filter(([key]) => key.startsWith(xattrPrefix))
        .map(([key, value]) => [key.slice(xattrPrefix.length), value]),
    );
    const { typeFlag: _, ...fields } = merged;
    this.#handler.entry({ ...fields, type, size, xattrs });
    this.#begin('data', size);
  }

  #begin(state: 'extended' | 'data' | 'skip', size: number): void {
    this.#state = state;
    this.#left = size;
    this.#padding = (blockSize - (size % blockSize)) % blockSize;
    if (size === 0) this.#complete();
  }

  #content(piece: Buffer): void {
    if (this.#state === 'data') this.#handler.data(piece);
    else if (this.#state === 'extended') this.#extended?.parts.push(Buffer.from(piece));
    if (this.#left === 0) this.#complete();
  }

  #complete(): void {
    const { state } = { state: this.#state };
    this.#state = 'header';
    if (state === 'data') this.#handler.end();
    if (state !== 'extended' || this.#extended === undefined) return;
    const { header, parts } = this.#extended;
    this.#extended = undefined;
    const data = Buffer.concat(parts);
    if (header.typeFlag === 'x') this.#pax = decodePax(data);
    else if (header.typeFlag === 'g') this.#global = new Map([...this.#global, ...decodePax(data)]);
    else if (header.typeFlag === 'L') this.#longName = readText(data, 0, data.length);
    else this.#longLink = readText(data, 0, data.length);
  }
}

function applyPax(
  header: RawHeader,
  pax: ReadonlyMap<string, string>,
  longName: string | undefined,
  longLink: string | undefined,
): RawHeader {
  const number = (key: string, fallback: number): number => {
    const text = pax.get(key);
    if (text === undefined || text === '') return fallback;
    const value = Number(text);
    if (!Number.isFinite(value)) throw new TarError(`invalid tar header: ${key}=${text}`);
    return value;
  };
  const size = number('size', header.size);
  if (!Number.isSafeInteger(size) || size < 0) throw new TarError('invalid tar header: negative size');
  return {
    ...header,
    name: pax.get('path') ?? longName ?? header.name,
    linkName: pax.get('linkpath') ?? longLink ?? header.linkName,
    size,
    uid: number('uid', header.uid),
    gid: number('gid', header.gid),
    mtime: number('mtime', header.mtime),
  };
}
