/** A time.Time of Go as templates see it, always in UTC: how it prints, its methods, and Format with Go's reference layouts. */
import { goJsonString } from '../go-json.ts';
import { TemplateError } from './lexer.ts';
import type { Struct, Value } from './value.ts';

const months = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July'],
  ...['August', 'September', 'October', 'November', 'December'],
];
const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const dayMs = 86_400_000;
const billion = 1_000_000_000n;

/** The reference time is Mon Jan 2 15:04:05 MST 2006; longer words first. https://pkg.go.dev/time#pkg-constants */
const layoutWords =
  /January|Jan|Monday|Mon|MST|2006|002|__2|_2|02|01|03|04|05|06|15|Z07:00:00|Z070000|Z07:00|Z0700|Z07|-07:00:00|-070000|-07:00|-0700|-07|PM|pm|[.,](?:0+|9+)(?!\d)|[12345]/g;

/** `text` is what the time was written as, for JSON; `nanos` since 1970. */
export function timeStruct(text: string, nanos: bigint): Struct {
  const date = new Date(Number(nanos / 1_000_000n));
  const nanosecond = Number(nanos % billion);
  const format = (layout: Value): string => {
    if (typeof layout !== 'string') throw new TemplateError('wrong type for value of Format; expected string');
    return layout.replaceAll(layoutWords, (word) => formatWord(word, date, nanosecond));
  };
  return {
    structName: 'time.Time',
    fields: new Map(),
    methods: new Map<string, (...args: readonly Value[]) => Value>([
      ['Day', () => date.getUTCDate()],
      ['Format', format],
      ['Hour', () => date.getUTCHours()],
      ['IsZero', () => false],
      ['Location', () => 'UTC'],
      ['Minute', () => date.getUTCMinutes()],
      ['Month', () => months[date.getUTCMonth()]],
      ['Nanosecond', () => nanosecond],
      ['Second', () => date.getUTCSeconds()],
      ['String', () => format('2006-01-02 15:04:05.999999999 -0700 MST')],
      ['Unix', () => Number(nanos / billion)],
      ['UnixMicro', () => Number(nanos / 1000n)],
      ['UnixMilli', () => Number(nanos / 1_000_000n)],
      ['UnixNano', () => nanos.toString()],
      ['Weekday', () => days[date.getUTCDay()]],
      ['Year', () => date.getUTCFullYear()],
      ['YearDay', () => yearDay(date)],
    ]),
    text: format('2006-01-02 15:04:05.999999999 -0700 MST'),
    json: goJsonString(text, false),
  };
}

function yearDay(date: Date): number {
  return Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / dayMs) + 1;
}

function formatWord(word: string, date: Date, nanosecond: number): string {
  if (word.startsWith('Z07')) return 'Z';
  if (word.startsWith('-07')) return word.replaceAll('-', '+').replaceAll('7', '0');
  if (word.startsWith('.') || word.startsWith(',')) return formatFraction(word, nanosecond);
  const month = months[date.getUTCMonth()] ?? '';
  const day = days[date.getUTCDay()] ?? '';
  const hour = date.getUTCHours() % 12 || 12;
  const year = String(date.getUTCFullYear()).padStart(4, '0');
  const words: Readonly<Record<string, string>> = {
    January: month,
    Jan: month.slice(0, 3),
    '1': String(date.getUTCMonth() + 1),
    '01': String(date.getUTCMonth() + 1).padStart(2, '0'),
    Monday: day,
    Mon: day.slice(0, 3),
    '2': String(date.getUTCDate()),
    _2: String(date.getUTCDate()).padStart(2, ' '),
    '02': String(date.getUTCDate()).padStart(2, '0'),
    __2: String(yearDay(date)).padStart(3, ' '),
    '002': String(yearDay(date)).padStart(3, '0'),
    '15': String(date.getUTCHours()).padStart(2, '0'),
    '3': String(hour),
    '03': String(hour).padStart(2, '0'),
    '4': String(date.getUTCMinutes()),
    '04': String(date.getUTCMinutes()).padStart(2, '0'),
    '5': String(date.getUTCSeconds()),
    '05': String(date.getUTCSeconds()).padStart(2, '0'),
    '2006': year,
    '06': year.slice(-2),
    PM: date.getUTCHours() < 12 ? 'AM' : 'PM',
    pm: date.getUTCHours() < 12 ? 'am' : 'pm',
    MST: 'UTC',
  };
  return words[word] ?? word;
}

/** `.000` keeps its zeros, `.999` drops them, and the point when nothing is left. */
function formatFraction(word: string, nanosecond: number): string {
  const digits = String(nanosecond)
    .padStart(9, '0')
    .slice(0, word.length - 1)
    .padEnd(word.length - 1, '0');
  if (word[1] === '0') return `${word[0]}${digits}`;
  const short = digits.replace(/0+$/, '');
  return short === '' ? '' : `${word[0]}${short}`;
}
