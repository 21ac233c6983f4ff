/** Values of settings: from the text of a flag, and from the JSON of the file. */
import { isIP } from 'node:net';
import { findSize } from '../../plugins/sdk/index.ts';
import {
  type AddressPool,
  ConfigError,
  type OptionSpec,
  type OptionValue,
  type RuntimeEntry,
  type Ulimit,
} from './option.ts';

/** What the flag means, given what earlier ones of the same name left. Throws ConfigError. */
export function parseFlagValue(option: OptionSpec, text: string, earlier: OptionValue | undefined): OptionValue {
  const wrong = (reason: string) =>
    new ConfigError(`invalid argument "${text}" for "--${option.name}" flag: ${reason}`, true);
  switch (option.kind) {
    case 'text':
    case 'any':
      return text;
    case 'flag': {
      const value = flagWords.get(text.toLowerCase());
      if (value === undefined) throw wrong('neither true nor false');
      return value;
    }
    case 'integer':
      if (!/^-?[0-9]+$/.test(text)) throw wrong('no whole number');
      return Number(text);
    case 'bytes': {
      const size = findSize(text);
      if (size === undefined) throw wrong('no size such as 64m');
      return size;
    }
    case 'list':
      return [...((earlier as readonly string[] | undefined) ?? []), ...splitList(option, text)];
    case 'map': {
      const [key, value] = cut(text, '=');
      return { ...(earlier as Record<string, string> | undefined), [key]: value ?? '' };
    }
    case 'map-of-maps': {
      const [outer, rest] = cut(text, '=');
      const [key, value] = cut(rest ?? '', '=');
      if (key === '' || value === undefined) throw wrong('must be driver=option=value');
      const known = (earlier as Record<string, Record<string, string>> | undefined) ?? {};
      return { ...known, [outer]: { ...known[outer], [key]: value } };
    }
    case 'ulimits': {
      const ulimit = parseUlimit(text);
      if (ulimit === undefined) throw wrong(`invalid ulimit argument: ${text}`);
      return { ...(earlier as Record<string, Ulimit> | undefined), [ulimit.Name]: ulimit };
    }
    case 'runtimes': {
      const [name, path] = cut(text, '=');
      if (name === '' || !path) throw wrong('must be name=path');
      return { ...(earlier as Record<string, RuntimeEntry> | undefined), [name.toLowerCase()]: { path } };
    }
    case 'pools': {
      const fields = Object.fromEntries(text.split(',').map((field) => cut(field, '=')));
      const pool = checkPool(fields['base'], Number(fields['size']));
      if (pool === undefined) throw wrong('must be base=CIDR,size=PREFIX_LENGTH');
      return [...((earlier as readonly AddressPool[] | undefined) ?? []), pool];
    }
  }
}

/** Throws ConfigError with what dockerd's JSON decoder says. */
export function checkFileValue(option: OptionSpec, key: string, value: unknown): OptionValue {
  const wrong = (type: string) =>
    new ConfigError(
      `invalid JSON: json: cannot unmarshal ${jsonType(value)} into Go struct field Config.${key} of type ${type}`,
    );
  switch (option.kind) {
    case 'text':
      if (typeof value !== 'string') throw wrong('string');
      return value;
    case 'any':
      return JSON.stringify(value);
    case 'flag':
      if (typeof value !== 'boolean') throw wrong('bool');
      return value;
    case 'integer':
      if (typeof value !== 'number' || !Number.isInteger(value)) throw wrong('int');
      return value;
    case 'bytes': {
      const size = typeof value === 'number' ? value : typeof value === 'string' ? findSize(value) : undefined;
      if (size === undefined) throw wrong('opts.MemBytes');
      return size;
    }
    case 'list':
      if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw wrong('[]string');
      return value;
    case 'map':
      return entriesOf(value, wrong, (item) => (typeof item === 'object' ? undefined : String(item)));
    case 'map-of-maps':
      return entriesOf(value, wrong, (item) =>
        entriesOf(item, wrong, (inner) => (typeof inner === 'string' ? inner : undefined)),
      );
    case 'ulimits':
      return entriesOf(value, wrong, fileUlimit);
    case 'runtimes':
      return entriesOf(value, wrong, fileRuntime);
    case 'pools': {
      const pools = Array.isArray(value) ? value.map((item: unknown) => filePool(item)) : [undefined];
      if (pools.includes(undefined)) throw wrong('[]*ipamutils.NetworkToSplit');
      return pools as AddressPool[];
    }
  }
}

const flagWords = new Map([
  ...['1', 't', 'true'].map((word) => [word, true] as const),
  ...['0', 'f', 'false'].map((word) => [word, false] as const),
]);

/** `--dns 192.0.2.1,192.0.2.2` is two. */
function splitList(option: OptionSpec, text: string): string[] {
  return option.name === 'dns' || option.name === 'host-gateway-ip' ? text.split(',') : [text];
}

/** `nofile=SOFT:HARD` or `nofile=BOTH`. */
function parseUlimit(text: string): Ulimit | undefined {
  const [, Name = '', soft = '', hard] = /^([a-z]+)=(-?[0-9]+)(?::(-?[0-9]+))?$/.exec(text) ?? [];
  if (Name === '') return undefined;
  const [Soft, Hard] = [Number(soft), Number(hard ?? soft)];
  if (Soft > Hard && Hard !== -1) return undefined;
  return { Name, Soft, Hard };
}

function fileUlimit(value: unknown): Ulimit | undefined {
  const { Name, Soft, Hard } = (value ?? {}) as Record<string, unknown>;
  if (typeof Name !== 'string' || typeof Soft !== 'number' || typeof Hard !== 'number') return undefined;
  return { Name, Soft, Hard };
}

function fileRuntime(value: unknown): RuntimeEntry | undefined {
  const { path, runtimeArgs } = (value ?? {}) as Record<string, unknown>;
  if (typeof path !== 'string' || path === '') return undefined;
  if (runtimeArgs === undefined || runtimeArgs === null) return { path };
  if (!Array.isArray(runtimeArgs) || !runtimeArgs.every((arg) => typeof arg === 'string')) return undefined;
  return { path, runtimeArgs };
}

function filePool(value: unknown): AddressPool | undefined {
  const { base, size } = (value ?? {}) as Record<string, unknown>;
  return typeof base === 'string' && typeof size === 'number' ? checkPool(base, size) : undefined;
}

function checkPool(base: string | undefined, size: number): AddressPool | undefined {
  const [address = '', length] = (base ?? '').split('/');
  const family = isIP(address);
  if (family === 0 || length === undefined || !Number.isInteger(size)) return undefined;
  if (size < Number(length) || size > (family === 4 ? 32 : 128)) return undefined;
  return { base: base as string, size };
}

function entriesOf<T>(
  value: unknown,
  wrong: (type: string) => ConfigError,
  read: (item: unknown) => T | undefined,
): Record<string, T> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong('map[string]string');
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const read_ = read(item);
      if (read_ === undefined) throw new ConfigError(`invalid value of "${key}": ${JSON.stringify(item)}`);
      return [key, read_];
    }),
  );
}

function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return { boolean: 'bool' }[typeof value as string] ?? typeof value;
}

/** As dockerd's messages show values, which is Go's way: `[a b]`, `map[x:y]`. */
export function formatValue(value: OptionValue): string {
  if (Array.isArray(value)) return `[${value.map((item) => formatValue(item as OptionValue)).join(' ')}]`;
  if (typeof value !== 'object') return String(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `map[${entries.map(([key, item]) => `${key}:${formatValue(item as OptionValue)}`).join(' ')}]`;
}
