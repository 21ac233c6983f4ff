/**
 * Compressed archives: which compression it is, from the first bytes, and its plain bytes. gzip and zstd are Node's own;
 * bzip2 and xz go through the programs of these names, as Docker does with xz.
 */
import { spawn } from 'node:child_process';
import { PassThrough, type Readable, Transform } from 'node:stream';
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
  const output = new PassThrough();
  // An error of the source or of the decoder becomes the output's own.
  const fed = pipeline(source, makeDecoder(compression), output).catch(() => {});
  try {
    yield* output as AsyncIterable<Buffer>;
  } finally {
    output.destroy();
    await fed;
  }
}

function makeDecoder(compression: Compression): Transform {
  if (compression === 'gzip') return createGunzip();
  if (compression === 'zstd') return createZstdDecompress();
  return programDecoder(compression);
}

function programDecoder(program: string): Transform {
  const child = spawn(program, ['-d', '-c', '-q'], { stdio: ['pipe', 'pipe', 'ignore'] });
  const stdout = child.stdout as Readable;
  let ended: (() => void) | undefined;
  const ending = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const transform = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (child.stdin.write(chunk)) done();
      else child.stdin.once('drain', () => done());
    },
    flush(done) {
      child.stdin.end();
      void ending.then(() => done());
    },
    destroy(error, done) {
      child.kill('SIGKILL');
      done(error);
    },
  });
  child.stdin.on('error', () => {}); // the exit code tells
  child.on('error', () =>
    transform.destroy(badRequest(`the archive is compressed with ${program}; install the program`)),
  );
  stdout.on('data', (chunk: Buffer) => {
    if (!transform.push(chunk)) {
      stdout.pause();
      setImmediate(() => stdout.resume());
    }
  });
  child.on('close', (code) => {
    if (code === 0) ended?.();
    else transform.destroy(badRequest(`the archive is damaged: ${program} cannot decompress it`));
  });
  return transform;
}
