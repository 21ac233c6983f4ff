/** fmt.Sprintf for the values of a template: flags, width, precision and the verbs %v %s %q %d %x %X %o %b %c %t %f %e %g %T %%. */
import { goJsonString } from '../go-json.ts';
import { Float, printValue, typeName, type Value } from './value.ts';

/** fmt's own limit is 1e6. */
const widest = 65_536;
const directive = /%([-+# 0]*)(\d+)?(?:\.(\d+)?)?([a-zA-Z%])/g;

export function sprintf(format: string, args: readonly Value[]): string {
  let next = 0;
  const text = format.replaceAll(
    directive,
    (whole, flags: string, width: string | undefined, precision: string | undefined, verb: string) => {
      if (verb === '%') return '%';
      if (next >= args.length) return `%!${verb}(MISSING)`;
      const value = args[next++];
      if (Number(width ?? 0) > widest) return '%!(BADWIDTH)';
      if (Number(precision ?? 0) > widest) return '%!(BADPREC)';
      const digits = precision === undefined ? (whole.includes('.') ? 0 : undefined) : Number(precision);
      const body = formatOne(verb, value, flags, digits);
      return pad(
        body,
        flags,
        width === undefined ? 0 : Number(width),
        typeof value === 'number' || value instanceof Float,
      );
    },
  );
  const extra = args.slice(next);
  if (extra.length === 0) return text;
  return `${text}%!(EXTRA ${extra.map((value) => `${typeName(value)}=${printValue(value)}`).join(', ')})`;
}

function formatOne(verb: string, value: Value, flags: string, precision: number | undefined): string {
  if (verb === 'v') return printValue(value);
  if (verb === 'T') return typeName(value);
  if (typeof value === 'string') return formatText(verb, value, precision);
  if (typeof value === 'boolean' && verb === 't') return String(value);
  if (typeof value === 'number') {
    const number = formatInteger(verb, value);
    if (number !== undefined) return flags.includes('+') && value >= 0 ? `+${number}` : number;
  }
  if (value instanceof Float && 'feg'.includes(verb)) {
    const number =
      verb === 'e'
        ? value.value.toExponential(precision ?? 6)
        : verb === 'f'
          ? value.value.toFixed(precision ?? 6)
          : printValue(value);
    return flags.includes('+') && value.value >= 0 ? `+${number}` : number;
  }
  if (verb === 's' && Array.isArray(value)) return printValue(value);
  return `%!${verb}(${typeName(value)}=${printValue(value)})`;
}

function formatText(verb: string, value: string, precision: number | undefined): string {
  const shown = precision === undefined ? value : [...value].slice(0, precision).join('');
  if (verb === 's') return shown;
  if (verb === 'q') return goJsonString(shown, false);
  if (verb === 'x') return Buffer.from(shown).toString('hex');
  if (verb === 'X') return Buffer.from(shown).toString('hex').toUpperCase();
  return `%!${verb}(string=${value})`;
}

function formatInteger(verb: string, value: number): string | undefined {
  switch (verb) {
    case 'd':
      return String(value);
    case 'x':
      return value.toString(16);
    case 'X':
      return value.toString(16).toUpperCase();
    case 'o':
      return value.toString(8);
    case 'b':
      return value.toString(2);
    case 'c':
      return String.fromCodePoint(value);
    case 'q':
      return `'${String.fromCodePoint(value)}'`;
    default:
      return undefined;
  }
}

function pad(body: string, flags: string, width: number, numeric: boolean): string {
  const missing = width - [...body].length;
  if (missing <= 0) return body;
  if (flags.includes('-')) return body + ' '.repeat(missing);
  if (!flags.includes('0') || !numeric) return ' '.repeat(missing) + body;
  const sign = /^[+-]/.exec(body)?.[0] ?? '';
  return sign + '0'.repeat(missing) + body.slice(sign.length);
}
