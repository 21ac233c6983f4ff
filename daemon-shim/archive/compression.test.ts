import * as assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { suite } from 'uvu';
import { decompress } from './compression.ts';

const test = suite('compression');
const plain = Buffer.concat([randomBytes(100_000), Buffer.alloc(300_000, 'x')]);
const by = (program: string) => spawnSync(program, ['-c'], { input: plain, maxBuffer: 1 << 24 }).stdout;
const compressed: Readonly<Record<string, Buffer>> = {
  none: plain,
  gzip: gzipSync(plain),
  zstd: zstdCompressSync(plain),
  bzip2: by('bzip2'),
  xz: by('xz'),
};

async function* pieces(data: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

async function read(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of decompress(source)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

for (const [name, data] of Object.entries(compressed)) {
  test(`${name}: whole, and byte by byte at its start`, async () => {
    assert.ok((await read(pieces(data, 65_536))).equals(plain));
    const slow = (async function* () {
      yield* pieces(data.subarray(0, 20), 1);
      yield data.subarray(20);
    })();
    assert.ok((await read(slow)).equals(plain));
  });

  if (name === 'none') continue;
  test(`${name}: damaged and cut archives are errors, and so is a source that fails`, async () => {
    await assert.rejects(read(pieces(data.subarray(0, data.length - 1000), 65_536)));
    const damaged = Buffer.from(data);
    damaged.fill(0xaa, 100, 20_000);
    // zstd as it is written by default has no checksum: the digest of the layer tells.
    if (name !== 'zstd') await assert.rejects(read(pieces(damaged, 65_536)));
    const failing = (async function* () {
      yield data.subarray(0, 50_000);
      throw new Error('gone');
    })();
    await assert.rejects(read(failing), /gone/);
  });

  test(`${name}: who stops reading leaves nothing open`, async () => {
    for await (const chunk of decompress(pieces(data, 1000))) {
      assert.ok(chunk.length > 0);
      break;
    }
  });
}

test('nothing is nothing', async () => {
  assert.equal((await read(pieces(Buffer.alloc(0), 1))).length, 0);
});

test.run();
