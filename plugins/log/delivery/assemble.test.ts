import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { PartialLogMetadata } from '../../sdk/log-plugin.ts';
import { LogFrameBatch } from '../../sdk/protocol/log-frame-encoder.ts';
import { LogFrameScanner } from '../../sdk/protocol/log-frame-scanner.ts';
import { type AssembleOptions, Assembler } from './assemble.ts';

const origin = { sequence: 1, offset: 0 };
const options: AssembleOptions = { maxBytes: 10, partialTimeoutMs: 60_000, multiline: undefined };

interface Piece {
  readonly text: string;
  readonly source?: string;
  readonly meta?: PartialLogMetadata;
}

function collect(
  given: Partial<AssembleOptions>,
  pieces: readonly Piece[],
  end: 'all' | 'timed' | 'none' = 'none',
): string[] {
  const out: string[] = [];
  const assembler = new Assembler({ ...options, ...given }, ({ line, part, stderr }) =>
    out.push(`${stderr ? 'e:' : ''}${line}${part ? ` [${part.id} ${part.ordinal}${part.last ? ' last' : ''}]` : ''}`),
  );
  const batch = new LogFrameBatch();
  for (const { text, source = 'stdout', meta } of pieces) {
    const line = Buffer.from(text);
    batch.write(source, 0, 1, line, 0, line.length, false, meta !== undefined, meta);
  }
  const frames = batch.take();
  const scanner = new LogFrameScanner();
  scanner.reset(frames, 0, frames.length);
  while (scanner.next()) assembler.add(scanner.frame, origin);
  if (end !== 'none') assembler.flush(end === 'all');
  out.push(assembler.pending ? 'waiting' : 'done');
  return out;
}

const meta = (ordinal: number, last = false, id = 'a'): PartialLogMetadata => ({ id, ordinal, last });

test('pieces become one line, also when two lines come interleaved', () => {
  const pieces = [
    { text: 'ab', meta: meta(1) },
    { text: 'XY', source: 'stderr', meta: meta(1, false, 'b') },
    { text: 'cd', meta: meta(2) },
    { text: 'whole' },
    { text: 'Z', source: 'stderr', meta: meta(2, true, 'b') },
    { text: 'e', meta: meta(3, true) },
  ];
  assert.equal(collect({}, pieces), ['whole', 'e:XYZ', 'abcde', 'done']);
});

test('a line above the limit goes in parts that say so', () => {
  const pieces = [
    { text: '012345678', meta: meta(1) },
    { text: 'abcdefghi', meta: meta(2) },
    { text: 'ABC', meta: meta(3, true) },
  ];
  assert.equal(collect({}, pieces), ['012345678a [a 1]', 'bcdefghiAB [a 2]', 'C [a 3 last]', 'done']);
  assert.equal(collect({}, [{ text: 'x'.repeat(25) }]), [
    'xxxxxxxxxx [ 1]',
    'xxxxxxxxxx [ 2]',
    'xxxxx [ 3 last]',
    'done',
  ]);
});

test('a line whose rest does not come is sent as a part; at the end of the log it is a line', () => {
  assert.equal(collect({ partialTimeoutMs: 0 }, [{ text: 'ab', meta: meta(1) }], 'timed'), ['ab [a 1]', 'done']);
  assert.equal(collect({}, [{ text: 'ab', meta: meta(1) }], 'timed'), ['waiting']);
  assert.equal(collect({}, [{ text: 'no newline', meta: meta(1) }], 'all'), ['no newline', 'done']);
});

test('lines of one event are joined by source, bounded, and end with the next start', () => {
  const multiline = { timeoutMs: 60_000, continues: (line: Buffer): boolean => line[0] === 0x20 };
  const pieces = [
    { text: 'E1' },
    { text: ' a' },
    { text: 'err', source: 'stderr' },
    { text: ' b' },
    { text: 'E2' },
    { text: ' cccccccc' },
    { text: ' d' },
  ];
  assert.equal(collect({ multiline }, pieces), ['E1\n a\n b', 'E2', ' cccccccc', 'waiting']);
  assert.equal(collect({ multiline }, pieces, 'all').slice(3), ['e:err', ' d', 'done']);
  assert.equal(collect({ multiline: { ...multiline, timeoutMs: 0 } }, [{ text: 'E1' }, { text: ' a' }], 'timed'), [
    'E1\n a',
    'done',
  ]);
});

test.run();
