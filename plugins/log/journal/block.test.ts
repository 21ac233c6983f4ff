import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeLogFrame } from '../../sdk/protocol/log-frame-encoder.ts';
import { blockHeaderBytes, JournalScanner, writeBlockHeader } from './block.ts';

function block(...lines: readonly string[]): Buffer {
  const body = Buffer.concat(
    lines.map((line) => encodeLogFrame({ source: 'stdout', timeNano: 5n, line: Buffer.from(line), partial: false })),
  );
  const header = Buffer.alloc(blockHeaderBytes);
  writeBlockHeader(header, body, lines.length);
  return Buffer.concat([header, body]);
}

function lines(
  data: Buffer,
  atEnd = true,
): { readonly found: string[]; readonly rest: number; readonly damaged: number } {
  const scanner = new JournalScanner();
  scanner.reset(data, 0, data.length, atEnd);
  const found: string[] = [];
  while (scanner.next()) found.push(scanner.frames.frame.line.toString());
  return { found, rest: scanner.position, damaged: scanner.damagedBytes };
}

const journal = Buffer.concat([block('a', 'b'), block('c'), block('d', 'e', 'f')]);

test('blocks in a row', () =>
  assert.equal(lines(journal), { found: ['a', 'b', 'c', 'd', 'e', 'f'], rest: journal.length, damaged: 0 }));

test('cut at any byte: whole blocks only, and the position to go on from', () => {
  for (let cut = 0; cut <= journal.length; cut++) {
    const { found, rest } = lines(journal.subarray(0, cut), false);
    const again = lines(journal.subarray(rest)).found;
    assert.equal([...found, ...again], ['a', 'b', 'c', 'd', 'e', 'f'], `cut at ${cut}`);
  }
});

test('a damaged byte costs its block and no other', () => {
  const [first, second] = [block('a', 'b').length, block('c').length];
  for (let at = 0; at < journal.length; at++) {
    const damaged = Buffer.from(journal);
    damaged[at] = (damaged[at] ?? 0) ^ 0x55;
    // The record count in a header is not needed to read.
    const { found } = lines(damaged);
    const expected =
      at < first ? ['c', 'd', 'e', 'f'] : at < first + second ? ['a', 'b', 'd', 'e', 'f'] : ['a', 'b', 'c'];
    assert.ok(found.join('') === expected.join('') || found.join('') === 'abcdef', `${at}: ${found}`);
  }
});

test('any bytes in between are passed over', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.uint8Array({ maxLength: 60 }), (before, after) => {
      const data = Buffer.concat([before, block('x'), after, block('y')]);
      const { found, damaged } = lines(data);
      assert.equal(found, ['x', 'y']);
      assert.is(damaged, before.length + after.length);
    }),
  );
});

test.run();
