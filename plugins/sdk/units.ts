/** Sizes as Docker reads them (go-units RAMInBytes) and durations as Go does (time.ParseDuration), and both written back. */

const SIZE = /^(\d+(?:\.\d*)?|\.\d+) ?(?:([kmgtp])(?:i?b)?|b)?$/i;
const SIZE_UNITS = ['', 'k', 'm', 'g', 't', 'p'] as const;

/** Bytes: `10m`, `1g`, `1.5k`, `64KiB`, `512`; units are powers of 1024. undefined when the text is no size. */
export function findSize(text: string): number | undefined {
  const [, number, unit = ''] = SIZE.exec(text) ?? [];
  if (number === undefined) return undefined;
  const exponent = SIZE_UNITS.indexOf(unit.toLowerCase() as (typeof SIZE_UNITS)[number]);
  const bytes = Math.trunc(Number(number) * 1024 ** exponent);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest exact form, one that findSize reads: `10m`, `1536k`, `1000`. */
export function formatSize(bytes: number): string {
  let exponent = 0;
  let rest = bytes;
  while (rest > 0 && rest % 1024 === 0 && exponent < SIZE_UNITS.length - 1) {
    rest /= 1024;
    exponent += 1;
  }
  return `${rest}${SIZE_UNITS[exponent]}`;
}

const DURATION = /^[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/;
const DURATION_PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;
const MILLISECONDS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5, micro sign
  μs: 1e-3, // U+03BC, Greek mu
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds: `300ms`, `1.5s`, `1h30m`, `0`; a number without a unit is none, as in Go. undefined when it is none. */
export function findDurationMs(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let total = 0;
  for (const [, number, unit = ''] of text.matchAll(DURATION_PART)) total += Number(number) * (MILLISECONDS[unit] ?? 0);
  if (!Number.isFinite(total)) return undefined;
  return text.startsWith('-') ? -total : total;
}

/** `1h30m`, `1.5s`, `250ms`, `0`: a form that findDurationMs reads. */
export function formatDurationMs(milliseconds: number): string {
  if (milliseconds === 0) return '0';
  const sign = milliseconds < 0 ? '-' : '';
  let rest = Math.abs(milliseconds);
  const hours = Math.floor(rest / 3_600_000);
  rest -= hours * 3_600_000;
  const minutes = Math.floor(rest / 60_000);
  rest -= minutes * 60_000;
  const seconds = hours + minutes === 0 && rest < 1000 ? `${rest}ms` : `${rest / 1000}s`;
  return `${sign}${hours > 0 ? `${hours}h` : ''}${minutes > 0 ? `${minutes}m` : ''}${rest > 0 ? seconds : ''}`;
}
