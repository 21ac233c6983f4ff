import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { escapeGrowth, goJsonMap, goJsonString, jsonFileEscapes, writeEscaped } from './go-json.ts';

function escaped(source: Buffer): string {
  const out = Buffer.alloc(source.length * escapeGrowth + 8, 0x7e);
  const end = writeEscaped(out, 8, source, 0, source.length, jsonFileEscapes);
  return out.toString('utf8', 8, end);
}

test('escapes as json-file does', () => {
  assert.is(escaped(Buffer.from('plain')), 'plain');
  assert.is(escaped(Buffer.from('a"b\\c\n\r\t\x00\x7f')), 'a\\"b\\\\c\\n\\r\\u0009\\u0000\x7f');
  assert.is(escaped(Buffer.from('<a>&')), '\\u003ca\\u003e\\u0026');
  assert.is(escaped(Buffer.from('\u2027\u2028\u2029\u202a')), '\u2027\\u2028\\u2029\u202a');
  assert.is(escaped(Buffer.from('é€😀')), 'é€😀');
});

test('puts U+FFFD for each byte that is no UTF-8, as utf8.DecodeRune reads it', () => {
  const bad: readonly (readonly [number[], string])[] = [
    [[0xff, 0xfe], '\\ufffd\\ufffd'],
    [[0xc0, 0x80], '\\ufffd\\ufffd'], // overlong
    [[0xe2, 0x82], '\\ufffd\\ufffd'], // cut
    [[0xed, 0xa0, 0x80], '\\ufffd\\ufffd\\ufffd'], // surrogate
    [[0xf4, 0x90, 0x80, 0x80], '\\ufffd\\ufffd\\ufffd\\ufffd'], // above U+10FFFF
    [[0x61, 0xe2, 0x28, 0xa1, 0x62], 'a\\ufffd(\\ufffdb'],
  ];
  for (const [bytes, text] of bad) assert.is(escaped(Buffer.from(bytes)), text);
});

test('a byte is escaped alike alone and anywhere among others', () => {
  for (let byte = 0; byte < 256; byte++) {
    const alone = escaped(Buffer.from([byte]));
    for (let at = 0; at < 9; at++) {
      const line = Buffer.alloc(9, '~');
      line[at] = byte;
      assert.is(escaped(line), '~'.repeat(at) + alone + '~'.repeat(8 - at), `${byte} at ${at}`);
    }
  }
});

test('what is written reads back, for any bytes and any length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => {
      // Node's decoder replaces maximal parts, Go single bytes: compare what is valid only by its effect.
      const text = JSON.parse(`"${escaped(Buffer.from(bytes))}"`) as string;
      const valid = Buffer.from(bytes).toString('utf8');
      assert.is(text.replaceAll('\uFFFD', ''), valid.replaceAll('\uFFFD', ''));
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 400 }), (text) => {
      assert.is(JSON.parse(`"${escaped(Buffer.from(text))}"`), text.toWellFormed());
    }),
    { numRuns: 200 },
  );
});

test('maps are sorted and strings short-escaped as encoding/json does', () => {
  assert.is(goJsonMap({ b: '\t\b\f', a: '<' }), '{"a":"\\u003c","b":"\\t\\b\\f"}');
  assert.is(goJsonString('<', false), '"<"');
});

test.run();
