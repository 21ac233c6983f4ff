/**
 * The kinds of option. Each maker takes the option's name, or several where it has aliases (the first is the one that is
 * shown), and a default in `otherwise`; without one the value is undefined when the option is not given.
 */
import { isIP } from 'node:net';
import { PluginError } from './errors.ts';
import { isAddress, isCidr, isMacAddress } from './protocol/address-form.ts';
import { findDurationMs, findSize, formatDurationMs, formatSize } from './units.ts';

export interface Option<T> {
  readonly names: readonly string[];
  /** What a value looks like: "a whole number from 68 to 65535". */
  readonly expected: string;
  readonly required: boolean;
  /** Several given names may belong to this option. */
  readonly many: boolean;
  matches(name: string): boolean;
  otherwise(): T;
  read(name: string, value: string, driver: string, earlier: unknown): T;
}

type Names = string | readonly [string, ...string[]];

export interface Optional {
  readonly required?: false;
}
export interface Otherwise<T> {
  readonly otherwise: T;
}
export interface Mandatory {
  readonly required: true;
}
/** Default given, option required, or neither: then the value may be undefined. */
type Presence<T> = Optional | Otherwise<T> | Mandatory;
type Present<T, P> = P extends Otherwise<unknown> | Mandatory ? T : T | undefined;

/** How one value is read: undefined for a value that is not allowed. A thrown PluginError passes as it is. */
interface Kind<T> {
  readonly expected: string;
  find(value: string): T | undefined;
}

function option<T, P extends Presence<T>>(names: Names, kind: Kind<T>, presence?: P): Option<Present<T, P>> {
  const all = typeof names === 'string' ? [names] : names;
  const otherwise = presence !== undefined && 'otherwise' in presence ? presence.otherwise : undefined;
  return {
    names: all,
    expected: kind.expected,
    required: presence !== undefined && 'required' in presence && presence.required === true,
    many: false,
    matches: (name) => all.includes(name),
    // A required option is never left at this value, and Present<> knows which of the others may be undefined.
    otherwise: () => otherwise as Present<T, P>,
    read: (name, value, driver) => readValue(kind, name, value, driver) as Present<T, P>,
  };
}

function readValue<T>(kind: Kind<T>, name: string, value: string, driver: string): T {
  const found = kind.find(value);
  if (found !== undefined) return found;
  const given = value.length > 80 ? `${value.slice(0, 77)}...` : value;
  throw new PluginError('PROTO_OPTION', `${driver}: option ${name}=${given} is not allowed`, {
    hint: `use ${kind.expected}`,
  });
}

interface TextLimits {
  readonly pattern?: RegExp;
  /** Says in words what the pattern wants. */
  readonly expected?: string;
  /** Allows `""`. */
  readonly empty?: boolean;
}

/** Any text, or what a pattern allows; not empty unless that is allowed. */
export function text<P extends Presence<string>>(names: Names, limits?: TextLimits & P): Option<Present<string, P>> {
  const expected = limits?.expected ?? (limits?.pattern ? `a text that matches ${limits.pattern}` : 'a non-empty text');
  const find = (value: string) =>
    (value !== '' || limits?.empty) && (limits?.pattern?.test(value) ?? true) && !value.includes('\0')
      ? value
      : undefined;
  return option<string, P>(names, { expected, find }, limits);
}

const TRUE = new Set(['', '1', 't', 'T', 'TRUE', 'true', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

/** Go's strconv.ParseBool; a bare `-o name` arrives as `""` and is true. */
export function flag<P extends Presence<boolean>>(names: Names, presence?: P): Option<Present<boolean, P>> {
  const find = (value: string) => (TRUE.has(value) ? true : FALSE.has(value) ? false : undefined);
  return option<boolean, P>(names, { expected: 'true or false', find }, presence);
}

interface Range {
  readonly min: number;
  readonly max: number;
}

/** A decimal whole number; both ends of the range are allowed values. */
export function integer<P extends Presence<number>>(names: Names, range: Range & P): Option<Present<number, P>> {
  const find = (value: string) => within(/^-?\d{1,15}$/.test(value) ? Number(value) : undefined, range);
  return option<number, P>(names, { expected: `a whole number from ${range.min} to ${range.max}`, find }, range);
}

/** Bytes: `10m`, `1g`, `64KiB`. */
export function size<P extends Presence<number>>(names: Names, range: Partial<Range> & P): Option<Present<number, P>> {
  const limits = { min: range.min ?? 0, max: range.max ?? Number.MAX_SAFE_INTEGER };
  const ends =
    range.max === undefined
      ? `, at least ${formatSize(limits.min)}`
      : ` from ${formatSize(limits.min)} to ${formatSize(limits.max)}`;
  const expected = `a size such as 512k, 10m or 1g${ends}`;
  return option<number, P>(names, { expected, find: (value) => within(findSize(value), limits) }, range);
}

/** Milliseconds, from `300ms`, `1.5s`, `1h30m`. */
export function duration<P extends Presence<number>>(names: Names, range: Range & P): Option<Present<number, P>> {
  const expected = `a duration such as 300ms, 5s or 1h30m from ${formatDurationMs(range.min)} to ${formatDurationMs(range.max)}`;
  return option<number, P>(names, { expected, find: (value) => within(findDurationMs(value), range) }, range);
}

function within(value: number | undefined, { min, max }: Range): number | undefined {
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

/** One of some words. */
export function choice<const W extends readonly [string, ...string[]], P extends Presence<W[number]>>(
  names: Names,
  words: W,
  presence?: P,
): Option<Present<W[number], P>> {
  const find = (value: string): W[number] | undefined => words.find((word) => word === value);
  return option<W[number], P>(names, { expected: `one of ${words.join(', ')}`, find }, presence);
}

interface Family {
  readonly family?: 4 | 6;
}

/** A bare IP address, as it was written. */
export function ip<P extends Presence<string>>(names: Names, limits?: Family & P): Option<Present<string, P>> {
  const expected = `an IP${limits?.family ? `v${limits.family}` : ''} address`;
  const find = (value: string) => (isAddress(value, limits?.family) ? value : undefined);
  return option<string, P>(names, { expected, find }, limits);
}

/** An address with a prefix length, as it was written. */
export function cidr<P extends Presence<string>>(names: Names, limits?: Family & P): Option<Present<string, P>> {
  const example = limits?.family === 6 ? '2001:db8::/64' : '192.0.2.0/24';
  const expected = `an IP${limits?.family ? `v${limits.family}` : ''} range such as ${example}`;
  const find = (value: string) => (isCidr(value, limits?.family) ? value : undefined);
  return option<string, P>(names, { expected, find }, limits);
}

/** Lower case with colons. Group addresses (IEEE 802: the lowest bit of the first octet) belong to no interface. */
export function mac<P extends Presence<string>>(names: Names, presence?: P): Option<Present<string, P>> {
  const find = (value: string) => {
    if (!isMacAddress(value) || (Number.parseInt(value.slice(0, 2), 16) & 1) === 1) return undefined;
    return value.toLowerCase().replaceAll('-', ':');
  };
  return option<string, P>(names, { expected: 'a unicast MAC address such as 02:00:5e:00:53:01', find }, presence);
}

interface ListLimits {
  /** Default `,`. */
  readonly separator?: string;
  /** What one item must be; default: any text that is not empty. */
  readonly item?: 'ip' | RegExp;
  readonly expected?: string;
}

/** Items with separators between them; spaces around an item do not count. Not given: an empty list. */
export function list(names: Names, limits: ListLimits = {}): Option<readonly string[]> {
  const { separator = ',', item } = limits;
  const valid = (text: string) =>
    item === 'ip' ? isIP(text) !== 0 : item === undefined ? text !== '' : item.test(text);
  const expected = limits.expected ?? `${item === 'ip' ? 'IP addresses' : 'items'} with "${separator}" between them`;
  const find = (value: string) => {
    const items = value.split(separator).map((part) => part.trim());
    return items.every(valid) ? items : undefined;
  };
  return option<readonly string[], Otherwise<readonly string[]>>(names, { expected, find }, { otherwise: [] });
}

/** A value that the driver reads itself: `find` gives undefined, or throws a PluginError, for what is not allowed. */
export function custom<T extends NonNullable<unknown>, P extends Presence<T>>(
  names: Names,
  kind: { readonly expected: string; find(value: string): T | undefined },
  presence?: P,
): Option<Present<T, P>> {
  return option<T, P>(names, kind, presence);
}

/**
 * All names that begin with the prefix: a record from the rest of the name to the value. `kind` is one of the makers, or a
 * function that calls one: `prefixed('cleat.record.', text)`, `prefixed('cleat.weight.', (name) => integer(name, …))`.
 */
export function prefixed<T>(
  prefix: string,
  kind: (name: string) => Option<T>,
): Option<Readonly<Record<string, NonNullable<T>>>> {
  const one = kind(`${prefix}*`);
  return {
    names: [`${prefix}*`],
    expected: one.expected,
    required: false,
    many: true,
    matches: (name) => name.startsWith(prefix) && name.length > prefix.length,
    otherwise: () => ({}),
    read: (name, value, driver, earlier) => {
      const rest = name.slice(prefix.length);
      const before = Object.entries(earlier as Readonly<Record<string, NonNullable<T>>>);
      // fromEntries makes own properties of any name, "__proto__" included. A value that was given is never undefined.
      return Object.fromEntries([...before, [rest, one.read(name, value, driver, undefined) as NonNullable<T>]]);
    },
  };
}
