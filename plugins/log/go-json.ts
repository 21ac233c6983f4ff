/**
 * JSON as Go's encoders write it, byte for byte, so that what leaves here equals what Docker's own drivers write. Two variants
 * are in use there: encoding/json (short forms for tab, newline, carriage return and, since Go 1.22, \b and \f) and the
 * hand-made one of json-file (short forms for newline and carriage return only). Both escape <, > and &, U+2028 and U+2029,
 * and put U+FFFD in place of every byte that is no UTF-8: escaped in json-file and up to Go 1.23 or so, as it is in later ones.
 */
import { LastView, outs } from './last-view.ts';

/** What a byte needs: 0 nothing, 1 an escape of one character, 2 \u00XX, 3 a look at the bytes that follow. */
function classTable(short: string): Uint8Array {
  const table = new Uint8Array(256);
  table.fill(2, 0, 0x20);
  for (const character of `\\"${short}`) table[character.charCodeAt(0)] = 1;
  for (const character of '<>&') table[character.charCodeAt(0)] = 2;
  table.fill(3, 0x80);
  return table;
}

const shortForms = new Uint8Array(128);
for (const [code, letter] of ['\nn', '\rr', '\tt', '\bb', '\ff', '""', '\\\\'])
  shortForms[code!.charCodeAt(0)] = letter!.charCodeAt(0);

export interface Escapes {
  readonly classes: Uint8Array;
  /** What stands for a byte that is no UTF-8. */
  readonly replacement: Buffer;
}

/** Docker's json-file: moby daemon/logger/jsonfilelog/jsonlog/jsonlogbytes.go. */
export const jsonFileEscapes: Escapes = { classes: classTable('\n\r'), replacement: Buffer.from('\\ufffd', 'latin1') };
/** encoding/json as engine 28.5 has it. */
export const goEscapes: Escapes = { classes: classTable('\n\r\t\b\f'), replacement: Buffer.from('\ufffd') };

/** An escaped string is at most this many times its source: \u00XX for one byte. */
export const escapeGrowth = 6;

const hex = Buffer.from('0123456789abcdef', 'latin1');

const sources = new LastView();

/** Writes the escaped bytes of source[start, end) into `out` at `at`, without quotes; returns the offset behind them. */
export function writeEscaped(
  out: Buffer,
  at: number,
  source: Buffer,
  start: number,
  end: number,
  { classes, replacement }: Escapes,
): number {
  const from = sources.of(source);
  const to = outs.of(out);
  const lastWord = end - 4;
  let cursor = at;
  let index = start;
  while (index < end) {
    while (index <= lastWord) {
      const word = from.getInt32(index, true);
      if (!isPlain(word)) break;
      to.setInt32(cursor, word, true);
      index += 4;
      cursor += 4;
    }
    const clean = Math.min(index + 4, end);
    while (index < clean && classes[source[index]!] === 0) out[cursor++] = source[index++]!;
    if (index === clean) continue;
    const byte = source[index]!;
    const kind = classes[byte];
    if (kind === 1) {
      out[cursor++] = 0x5c;
      out[cursor++] = shortForms[byte]!;
      index++;
    } else if (kind === 2) {
      cursor = writeControl(out, cursor, byte);
      index++;
    } else {
      do {
        const length = utf8Length(source, index, end);
        if (length === 0) {
          for (let piece = 0; piece < replacement.length; piece++) out[cursor++] = replacement[piece]!;
          index++;
        } else if (length === 3 && isSeparator(source, index)) {
          cursor += out.write(source[index + 2] === 0xa8 ? '\\u2028' : '\\u2029', cursor, 'latin1');
          index += 3;
        } else {
          for (let piece = 0; piece < length; piece++) out[cursor++] = source[index++]!;
        }
      } while (index < end && source[index]! >= 0x80);
    }
  }
  return cursor;
}

/**
 * Whether none of four bytes is above 0x7f, a control, a quote, a backslash, or one of <, > and &; all at once. With every top bit
 * clear, a subtraction sets one exactly where a byte is less than what is taken away, or borrows from where that is so.
 */
function isPlain(word: number): boolean {
  const angles = (word ^ 0x3c3c3c3c) & 0xfdfdfdfd; // 0 for < and >, which differ in one bit
  const quotes = (word ^ 0x22222222) & 0xfbfbfbfb; // 0 for " and &
  const backslash = word ^ 0x5c5c5c5c;
  const found = word | (word - 0x20202020) | (angles - 0x01010101) | (quotes - 0x01010101) | (backslash - 0x01010101);
  return (found & 0x80808080) === 0;
}

/** U+2028 and U+2029. */
function isSeparator(source: Buffer, at: number): boolean {
  return source[at] === 0xe2 && source[at + 1] === 0x80 && (source[at + 2]! & 0xfe) === 0xa8;
}

function writeControl(out: Buffer, at: number, byte: number): number {
  out[at] = 0x5c;
  out[at + 1] = 0x75;
  out[at + 2] = 0x30;
  out[at + 3] = 0x30;
  out[at + 4] = hex[byte >> 4]!;
  out[at + 5] = hex[byte & 15]!;
  return at + 6;
}

/** Bytes of the well-formed sequence at `at`, or 0. Unicode 15, table 3-7; Go's utf8.DecodeRune takes one bad byte at a time. */
export function utf8Length(source: Buffer, at: number, end: number): number {
  const first = source[at]!;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const second = at + 1 < end ? source[at + 1]! : 0;
  if (first < 0xe0) return isTail(second) ? 2 : 0;
  const third = at + 2 < end ? source[at + 2]! : 0;
  if (first < 0xf0) {
    if (first === 0xe0 ? second < 0xa0 : first === 0xed && second > 0x9f) return 0;
    return isTail(second) && isTail(third) ? 3 : 0;
  }
  if (first === 0xf0 ? second < 0x90 : first === 0xf4 && second > 0x8f) return 0;
  const fourth = at + 3 < end ? source[at + 3]! : 0;
  return isTail(second) && isTail(third) && isTail(fourth) ? 4 : 0;
}

function isTail(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}

/** A string with its quotes, as encoding/json writes it. */
export function goJsonString(text: string, escapeHtml = true): string {
  const source = Buffer.from(text.toWellFormed(), 'utf8');
  const out = Buffer.allocUnsafe(source.length * escapeGrowth);
  const end = writeEscaped(out, 0, source, 0, source.length, escapeHtml ? goEscapes : goEscapesPlain);
  return `"${out.toString('utf8', 0, end)}"`;
}

const plainClasses = Uint8Array.from(goEscapes.classes, (kind, byte) =>
  '<>&'.includes(String.fromCharCode(byte)) ? 0 : kind,
);
const goEscapesPlain: Escapes = { ...goEscapes, classes: plainClasses };

/** A map of strings as encoding/json writes it: keys sorted by their bytes. */
export function goJsonMap(map: Readonly<Record<string, string>>, escapeHtml = true): string {
  const keys = Object.keys(map).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${keys.map((key) => `${goJsonString(key, escapeHtml)}:${goJsonString(map[key]!, escapeHtml)}`).join(',')}}`;
}
