/** The bytes of one log file from an offset on, compressed or not, in pieces that leave the event loop time in between. */
import { closeSync, createReadStream, fstatSync, openSync, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import type { LogFile } from './log-files.ts';

const chunkBytes = 256 * 1024;

/** Undefined when retention was quicker: the name may belong to another file by now. */
function openNow(file: LogFile): number | undefined {
  if (file.removed) return undefined;
  try {
    return openSync(file.path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export function openPlain(file: LogFile): PlainFile | undefined {
  const fd = openNow(file);
  return fd === undefined ? undefined : new PlainFile(fd);
}

/** An open plain file that stays readable when it is renamed or removed. */
export class PlainFile {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Bytes read; 0 at the present end. */
  read(into: Buffer, at: number, offset: number): number {
    return readSync(this.#fd, into, at, into.length - at, offset);
  }

  get size(): number {
    return fstatSync(this.#fd).size;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

async function* plainChunks(logFile: LogFile, from: number): AsyncGenerator<Buffer> {
  const file = openPlain(logFile);
  if (file === undefined) return;
  try {
    for (let offset = from; ; ) {
      const chunk = Buffer.allocUnsafe(chunkBytes);
      const read = file.read(chunk, 0, offset);
      if (read === 0) return;
      offset += read;
      yield chunk.subarray(0, read);
      await nextTurn();
    }
  } finally {
    file.close();
  }
}

/** Ends early, without an error, where the compressed data is damaged; `onDamage` hears of it. */
export async function* gunzipChunks(
  file: LogFile,
  from: number,
  onDamage: (error: unknown) => void,
): AsyncGenerator<Buffer> {
  // A stream opens its path later, when a rotation may have given that name to another file.
  const fd = openNow(file);
  if (fd === undefined) return;
  const source = createReadStream('', { fd, highWaterMark: chunkBytes });
  const gunzip = createGunzip({ chunkSize: chunkBytes });
  source.on('error', (error) => gunzip.destroy(error));
  let skip = from;
  try {
    for await (const chunk of source.pipe(gunzip) as AsyncIterable<Buffer>) {
      if (skip >= chunk.length) {
        skip -= chunk.length;
        continue;
      }
      yield skip > 0 ? chunk.subarray(skip) : chunk;
      skip = 0;
    }
  } catch (error) {
    onDamage(error);
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

export function fileChunks(file: LogFile, from: number, onDamage: (error: unknown) => void): AsyncGenerator<Buffer> {
  return file.compressed ? gunzipChunks(file, from, onDamage) : plainChunks(file, from);
}
