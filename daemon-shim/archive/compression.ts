/**
 * Compressed archives: which compression it is, from the first bytes, and its plain bytes. gzip and zstd are Node's own;
 * bzip2 and xz go through the programs of these names, as Docker does with xz.
 */
import { spawn } from 'node:child_process';
import { PassThrough, type Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { badRequest } from '../api/api-error.ts';

export type Compression = 'none' | 'gzip' | 'zstd' | 'bzip2' | 'xz';

const magics: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];

/** Enough to tell. */
export const magicBytes = 6;

export function detectCompression(start: Buffer): Compression {
  return magics.find(([, magic]) => magic.every((byte, index) => start[index] === byte))?.[0] ?? 'none';
}

/** The plain bytes of a stream of unknown compression. An error of either end is the result's error. */
export async function* decompress(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  let start = Buffer.alloc(0);
  while (start.length < magicBytes) {
    const next = await iterator.next();
    if (next.done) break;
    start = Buffer.concat([start, next.value]);
  }
  const all = (async function* () {
    if (start.length > 0) yield start;
    yield* { [Symbol.asyncIterator]: () => iterator };
  })();
  const compression = detectCompression(start);
  if (compression === 'none') yield* all;
  else yield* plainBytes(all, compression);
}

async function* plainBytes(source: AsyncIterable<Buffer>, compression: Compression): AsyncGenerator<Buffer> {
  if (compression === 'bzip2' || compression === 'xz') yield* throughProgram(source, compression);
  else yield* throughDecoder(source, compression === 'gzip' ? createGunzip() : createZstdDecompress());
}

async function* throughDecoder(source: AsyncIterable<Buffer>, decoder: Transform): AsyncGenerator<Buffer> {
  const output = new PassThrough();
  // An error of the source or of the decoder becomes the output's own.
  const fed = pipeline(source, decoder, output).catch(() => {});
  try {
    yield* output as AsyncIterable<Buffer>;
  } finally {
    output.destroy();
    await fed;
  }
}

async function* throughProgram(source: AsyncIterable<Buffer>, program: string): AsyncGenerator<Buffer> {
  const child = spawn(program, ['-d', '-c', '-q'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', () => {
      reject(badRequest(`the archive is compressed with ${program}; install the program`));
    });
    child.on('close', resolve);
  });
  let sourceError: unknown;
  // The program's own end closes its input: its exit code tells why.
  const fed = pipeline(source, child.stdin).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return;
    sourceError = error;
    child.kill('SIGKILL');
  });
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    await fed;
    const code = await ended;
    if (sourceError !== undefined) throw sourceError;
    if (code !== 0) throw badRequest(`the archive is damaged: ${program} cannot decompress it`);
  } finally {
    child.kill('SIGKILL');
    ended.catch(() => {});
  }
}
