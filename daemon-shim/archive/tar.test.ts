import * as assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import { type TarEntry, TarError } from './tar-entry.ts';
import { TarReader } from './tar-reader.ts';
import { encodeHeader, endOfArchive, paddingFor } from './tar-writer.ts';

const test = suite('tar');

interface Read {
  readonly entry: TarEntry;
  readonly content: Buffer;
}

function read(archive: Buffer, chunkBytes = archive.length): Read[] {
  const entries: Read[] = [];
  let parts: Buffer[] = [];
  let current: TarEntry | undefined;
  const reader = new TarReader({
    entry: (entry) => {
      current = entry;
      parts = [];
    },
    data: (chunk) => parts.push(Buffer.from(chunk)),
    end: () => {
      assert.ok(current);
      entries.push({ entry: current, content: Buffer.concat(parts) });
    },
  });
  for (let at = 0; at < archive.length; at += chunkBytes) reader.push(archive.subarray(at, at + chunkBytes));
  reader.finish();
  return entries;
}

function write(entries: readonly Read[]): Buffer {
  return Buffer.concat([
    ...entries.flatMap(({ entry, content }) => [encodeHeader(entry), content, paddingFor(content.length)]),
    endOfArchive,
  ]);
}

const base: TarEntry = {
  ...{ name: 'file', type: 'file', linkName: '', size: 0, mode: 0o644, uid: 0, gid: 0, mtime: 0 },
  ...{ devMajor: 0, devMinor: 0, xattrs: {} },
};

const bytes = (maxLength: number) =>
  fc
    .uint8Array({ minLength: 1, maxLength })
    .map((array) => Buffer.from(array).toString('latin1').replaceAll('\0', 'x'));

const anyEntry = fc
  .record({
    name: bytes(300),
    content: fc.uint8Array({ maxLength: 2000 }),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    gid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    mtime: fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 40 }), fc.constant(1_700_000_000.123)),
    xattrs: fc.dictionary(fc.constantFrom('user.a', 'security.capability'), bytes(60)),
  })
  .map(({ content, name, ...fields }) => ({
    entry: { ...base, ...fields, xattrs: { ...fields.xattrs }, name: name.replace(/\/+$/, 'x'), size: content.length },
    content: Buffer.from(content),
  }));

test('what is written is read, whatever bytes names and attributes have', () => {
  fc.assert(
    fc.property(fc.array(anyEntry, { maxLength: 4 }), fc.integer({ min: 1, max: 1500 }), (entries, chunkBytes) => {
      assert.deepEqual(read(write(entries), chunkBytes), entries);
    }),
    { numRuns: 60 },
  );
});

test('cut anywhere, it breaks off or is whole up to there', () => {
  const archive = write([
    { entry: { ...base, name: 'n'.repeat(150), size: 700 }, content: Buffer.alloc(700, 'a') },
    { entry: { ...base, name: 'second' }, content: Buffer.alloc(0) },
  ]);
  for (let end = 1; end < archive.length; end += 1) {
    try {
      assert.ok(read(archive.subarray(0, end)).length <= 2);
    } catch (error) {
      assert.ok(error instanceof TarError, `cut at ${end}: ${error}`);
    }
  }
});

test('random bytes are refused or read, and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 3000 }), (data) => {
      try {
        read(Buffer.from(data));
      } catch (error) {
        assert.ok(error instanceof TarError, String(error));
      }
    }),
    { numRuns: 200 },
  );
});

test('GNU tar reads what is written, and is read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cleat-tar-'));
  try {
    const long = 'd/'.repeat(60) + 'f'.repeat(120);
    const archive = join(folder, 'a.tar');
    writeFileSync(archive, write([{ entry: { ...base, name: long, size: 3 }, content: Buffer.from('abc') }]));
    assert.equal(execFileSync('tar', ['-tf', archive], { encoding: 'utf8' }).trim(), long);
    assert.equal(execFileSync('tar', ['-xOf', archive], { encoding: 'utf8' }), 'abc');
    writeFileSync(join(folder, 'big'), 'x');
    for (const format of ['gnu', 'pax', 'ustar', 'v7', 'oldgnu']) {
      const flags = [`--format=${format}`, '--owner=0', '--group=0', '-C', folder, '-cf', '-', 'big'];
      const [first] = read(execFileSync('tar', flags));
      assert.equal(first?.entry.name, 'big', format);
      assert.equal(String(first?.content), 'x', format);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('an extended header that announces too much is refused', () => {
  const header = encodeHeader({ ...base, size: 2 << 20 });
  header.write('x', 156, 'latin1');
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  assert.throws(() => read(header), /extended header too long/);
});

test.run();
