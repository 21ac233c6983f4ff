/** Functions of a tag: those of text/template and those that Docker adds (moby daemon/logger/templates). */
import { TemplateError } from './lexer.ts';
import { sprintf } from './printf.ts';
import { Float, isMap, isTrue, jsonValue, printValue, typeName, type Value } from './value.ts';

type TemplateFunction = (...args: Value[]) => Value;

function text(name: string, value: Value): string {
  if (typeof value === 'string') return value;
  throw new TemplateError(`wrong type for value of ${name}; expected string; got ${typeName(value)}`);
}

function whole(name: string, value: Value): number {
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  throw new TemplateError(`wrong type for value of ${name}; expected int; got ${typeName(value)}`);
}

/** A result that long is refused anyway. */
const mostBlanks = 65_536;

function blanks(name: string, value: Value): string {
  const count = whole(name, value);
  if (count < 0 || count > mostBlanks) throw new TemplateError(`${name} takes 0 to ${mostBlanks} blanks, got ${count}`);
  return ' '.repeat(count);
}

function texts(name: string, value: Value): string[] {
  if (Array.isArray(value)) return value.map((item) => text(name, item as Value));
  throw new TemplateError(`wrong type for value of ${name}; expected []string; got ${typeName(value)}`);
}

/** Cut between bytes, as Go does. */
function bytes(source: string, start: number, end: number): string {
  return Buffer.from(source).toString('utf8', start, end);
}

function byteLength(value: string): number {
  return Buffer.byteLength(value);
}

/** Below 0, 0 or above; throws for kinds that Go does not compare. */
function order(a: Value, b: Value): number {
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (a instanceof Float && b instanceof Float) return a.value - b.value;
  throw new TemplateError('incompatible types for comparison');
}

function equal(a: Value, b: Value): boolean {
  if (typeof a === 'boolean' && typeof b === 'boolean') return a === b;
  if (a === null || a === undefined || b === null || b === undefined) return (a ?? null) === (b ?? null);
  return order(a, b) === 0;
}

function indexValue(item: Value, key: Value): Value {
  if (isMap(item)) return item.get(text('index', key)) ?? '';
  if (Array.isArray(item) || typeof item === 'string') {
    const at = whole('index', key);
    const length = typeof item === 'string' ? byteLength(item) : item.length;
    if (at < 0 || at >= length) throw new TemplateError(`index out of range: ${at}`);
    return typeof item === 'string' ? Buffer.from(item)[at] : (item[at] as Value);
  }
  throw new TemplateError(`can't index item of type ${typeName(item)}`);
}

function slice(item: Value, ...ends: Value[]): Value {
  const length = typeof item === 'string' ? byteLength(item) : Array.isArray(item) ? item.length : -1;
  if (length < 0) throw new TemplateError(`can't slice item of type ${typeName(item)}`);
  const start = ends.length > 0 ? whole('slice', ends[0]) : 0;
  const end = ends.length > 1 ? whole('slice', ends[1]) : length;
  if (start < 0 || end > length || start > end) throw new TemplateError(`index out of range: ${start}:${end}`);
  return typeof item === 'string' ? bytes(item, start, end) : (item as readonly Value[]).slice(start, end);
}

/** fmt.Sprint: a blank between two operands when neither is a string. */
function sprint(...args: Value[]): string {
  return args
    .map((arg, index) => {
      const blank = index > 0 && typeof arg !== 'string' && typeof args[index - 1] !== 'string';
      return `${blank ? ' ' : ''}${printValue(arg)}`;
    })
    .join('');
}

const htmlEscapes: Readonly<Record<string, string>> = {
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '\0': '\uFFFD',
};

export const functions: Readonly<Record<string, TemplateFunction>> = {
  and: (...args) => args.find((arg) => !isTrue(arg)) ?? args.at(-1),
  or: (...args) => args.find((arg) => isTrue(arg)) ?? args.at(-1),
  not: (arg) => !isTrue(arg),
  len: (item) => {
    if (typeof item === 'string') return byteLength(item);
    if (Array.isArray(item)) return item.length;
    if (isMap(item)) return item.size;
    throw new TemplateError(`len of type ${typeName(item)}`);
  },
  index: (item, ...keys) => keys.reduce<Value>(indexValue, item),
  slice,
  print: sprint,
  println: (...args) => `${args.map(printValue).join(' ')}\n`,
  printf: (format, ...args) => sprintf(text('printf', format), args),
  html: (...args) => sprint(...args).replaceAll(/["'&<>\0]/g, (character) => htmlEscapes[character] ?? character),
  js: (...args) =>
    sprint(...args).replaceAll(/[\\'"<>&=]/g, (character) =>
      '\\\'"'.includes(character) ? `\\${character}` : `\\u00${character.charCodeAt(0).toString(16).toUpperCase()}`,
    ),
  urlquery: (...args) =>
    encodeURIComponent(sprint(...args))
      .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
      .replaceAll('%20', '+'),
  eq: (first, ...others) => others.some((other) => equal(first, other)),
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => order(a, b) < 0,
  le: (a, b) => order(a, b) <= 0,
  gt: (a, b) => order(a, b) > 0,
  ge: (a, b) => order(a, b) >= 0,
  json: (value) => jsonValue(value),
  split: (source, separator) => {
    const [whole_, cut] = [text('split', source), text('split', separator)];
    return cut === '' ? [...whole_] : whole_.split(cut);
  },
  join: (items, separator) => texts('join', items).join(text('join', separator)),
  title: (source) =>
    text('title', source).replaceAll(
      /(^|[^\p{L}\p{N}_'])(\p{L})/gu,
      (_, before: string, letter: string) => before + letter.toUpperCase(),
    ),
  lower: (source) => text('lower', source).toLowerCase(),
  upper: (source) => text('upper', source).toUpperCase(),
  pad: (source, before, after) => {
    const padded = text('pad', source);
    return padded === '' ? '' : blanks('pad', before) + padded + blanks('pad', after);
  },
  truncate: (source, length) => {
    const [long, most] = [text('truncate', source), whole('truncate', length)];
    return byteLength(long) < most ? long : bytes(long, 0, Math.max(0, most));
  },
};

/** What each function takes, where that is fixed. */
export const arity: Readonly<Record<string, number>> = {
  not: 1,
  len: 1,
  json: 1,
  split: 2,
  join: 2,
  title: 1,
  lower: 1,
  upper: 1,
  pad: 3,
  truncate: 2,
  ne: 2,
  lt: 2,
  le: 2,
  gt: 2,
  ge: 2,
};
