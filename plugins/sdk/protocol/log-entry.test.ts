import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LogEntry } from '../log-plugin.ts';
import { LogFrame, parseLogEntry } from './log-entry.ts';
import { LogFrameDecoder } from './log-frame-decoder.ts';
import { encodeLogFrame, LogFrameBatch } from './log-frame-encoder.ts';
import { MAX_FRAME_LENGTH } from './log-frame-scanner.ts';

const line = (text: string, more: Partial<LogEntry> = {}): LogEntry => {
  return { source: 'stdout', timeNano: 1795191696777008144n, line: Buffer.from(text), partial: false, ...more };
};

const anyEntry: fc.Arbitrary<LogEntry> = fc
  .record(
    {
      source: fc.oneof(fc.constantFrom('stdout', 'stderr', 'stdfoo', 'ünïcode'), fc.string({ minLength: 1 })),
      timeNano: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      line: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      partial: fc.boolean(),
      partialLogMetadata: fc.record(
        {
          last: fc.boolean(),
          id: fc.string({ maxLength: 70 }),
          ordinal: fc.integer(),
        },
        { noNullPrototype: true },
      ),
    },
    { requiredKeys: ['source', 'timeNano', 'line', 'partial'], noNullPrototype: true },
  )
  .map((entry) => entry as LogEntry);

function decodeAll(chunks: readonly Buffer[]): { entries: LogEntry[]; decoder: LogFrameDecoder } {
  const entries: LogEntry[] = [];
  const decoder = new LogFrameDecoder((frame) => entries.push(frame.toLogEntry()));
  for (const chunk of chunks) {
    // The decoder must not keep a view of a chunk: the pusher reuses it.
    const own = Buffer.from(chunk);
    decoder.push(own);
    own.fill(0xff);
  }
  return { entries, decoder };
}

function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (let round = 0; at < bytes.length; round += 1) {
    const end = at + (lengths[round % lengths.length] ?? bytes.length);
    chunks.push(bytes.subarray(at, end));
    at = end;
  }
  return chunks;
}

test('writes the bytes of the protocol page', () => {
  const entry = line('err1', { source: 'stderr' });
  assert.is(encodeLogFrame(entry).toString('hex'), '000000180a067374646572721090a8fff0e3aaf3f4181a0465727231');
});

test('an empty line has no field 3, a false "last" none either', () => {
  const piece = line('', { partial: true, partialLogMetadata: { last: false, id: '', ordinal: 1 } });
  const bytes = encodeLogFrame(piece);
  assert.is(bytes.includes(Buffer.from([0x1a])), false);
  assert.is(bytes.subarray(-6).toString('hex'), '20012a021801');
  assert.equal(decodeAll([bytes]).entries, [piece]);
});

test('any entries survive any chunking', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(anyEntry, { maxLength: 12 }), lengths, (entries, sizes) => {
      const bytes = Buffer.concat(entries.map(encodeLogFrame));
      const { entries: decoded, decoder } = decodeAll(cut(bytes, sizes));
      assert.equal(decoded, entries);
      assert.is(decoder.damages, 0);
      assert.is(decoder.pendingBytes, 0);
    }),
  );
});

test('a frame is cut at every byte', () => {
  const entries = [line('a'), line('b'.repeat(200)), line('c', { source: 'stderr' })];
  const bytes = Buffer.concat(entries.map(encodeLogFrame));
  for (let at = 0; at <= bytes.length; at += 1) {
    assert.equal(decodeAll([bytes.subarray(0, at), bytes.subarray(at)]).entries, entries);
  }
});

test('long lines grow the buffer for what spans chunks', () => {
  const entries = [line('x'.repeat(16384)), line('y'.repeat(200_000)), line('z')];
  const bytes = Buffer.concat(entries.map(encodeLogFrame));
  assert.equal(decodeAll(cut(bytes, [4096])).entries, entries);
});

test('a batch is one frame after the other, with newline where asked, and is not written again', () => {
  const batch = new LogFrameBatch(64);
  batch.add(line('one'), true);
  batch.add(line('two'));
  const first = batch.take();
  batch.add(line('three'));
  const second = batch.take();
  assert.equal(decodeAll([first]).entries.map(textOf), ['one\n', 'two']);
  assert.equal(decodeAll([second]).entries.map(textOf), ['three']);
  assert.is(batch.length, 0);
});

test('frames are passed on as they came', () => {
  const bytes = Buffer.concat([encodeLogFrame(line('one')), encodeLogFrame(line('two'))]);
  const batch = new LogFrameBatch();
  new LogFrameDecoder((frame) => batch.addFrame(frame)).push(bytes);
  assert.equal(batch.take(), bytes);
});

test('after damage the next good frame is found, and what was lost is counted', () => {
  const good = encodeLogFrame(line('good'));
  const damages: Record<string, Buffer> = {
    'a byte too many': Buffer.concat([Buffer.from([1]), good]),
    'a length that is too long': Buffer.from([0xff, 0, 0, 0, 0x0a, 6]),
    'a length within the limit': Buffer.from([0, 1, 0, 0, 0x7f, 6]),
    zeros: Buffer.alloc(64),
    'a frame that lost its middle': Buffer.concat([good.subarray(0, 9), good.subarray(14)]),
    text: Buffer.from('stdout stderr std \n\x06std'),
  };
  for (const [name, bytes] of Object.entries(damages)) {
    const stream = Buffer.concat([good, bytes, good, good, good]);
    for (const size of [1, 3, 7, 64, 10_000]) {
      const { entries, decoder } = decodeAll(cut(stream, [size]));
      // A false length may swallow one good frame behind it.
      assert.ok(entries.length >= 3, `${name} by ${size}: ${entries.length} frames`);
      assert.equal(new Set(entries.map(textOf)), new Set(['good']), name);
      assert.ok(decoder.damages >= 1, `${name} by ${size}`);
      assert.ok(decoder.skippedBytes > 0, `${name} by ${size}`);
    }
  }
});

test('random bytes never throw, and do not hide what follows', () => {
  const good = Buffer.concat(Array.from({ length: 3 }, () => encodeLogFrame(line('follows'))));
  const padding = Buffer.alloc(MAX_FRAME_LENGTH + 8, 0xff);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 500 }), (noise, size) => {
      // The padding ends every frame that the noise may have begun.
      const chunks = [...cut(Buffer.from(noise), [size]), padding, ...cut(good, [size])];
      const { entries } = decodeAll(chunks);
      assert.equal(entries.slice(-3).map(textOf), ['follows', 'follows', 'follows']);
    }),
    { numRuns: 50 },
  );
});

test('unknown fields are passed over, known ones of a wrong type refused', () => {
  const frame = new LogFrame();
  const parse = (hex: string) => parseLogEntry(frame, Buffer.from(hex, 'hex'), 0, hex.length / 2);
  const source = '0a067374646f7574';
  assert.ok(parse(`${source}3001`), 'field 6, varint');
  assert.ok(parse(`${source}3a0161`), 'field 7, bytes');
  assert.ok(parse(`${source}410102030405060708`), 'field 8, fixed64');
  assert.ok(parse(`${source}4d01020304`), 'field 9, fixed32');
  assert.ok(parse(`${source}820701${'61'}`), 'field 112, a tag of two bytes');
  assert.not.ok(parse(`${source}0801`), 'source as a varint');
  assert.not.ok(parse(`${source}1a0561`), 'a line beyond the end');
  assert.not.ok(parse(`${source}10ffffffffffffffffffff01`), 'a varint of 11 bytes');
  assert.not.ok(parse(`${source}2a0308`), 'metadata cut short');
  assert.not.ok(parse(`${source}33`), 'a group');
  assert.not.ok(parse(''), 'nothing at all');
});

function textOf(entry: LogEntry): string {
  return Buffer.from(entry.line).toString();
}

test.run();
