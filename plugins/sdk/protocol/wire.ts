/**
 * Reads decoded JSON field by field and refuses what has the wrong shape, naming the field and what was expected there.
 * null, a missing field and an empty value mean the same everywhere (Go sends nil maps as null), and a field is found
 * whatever its case, as Go's decoder finds it.
 */
import { PluginError } from '../errors.ts';

export type WireObject = Readonly<Record<string, unknown>>;

/** Identifiers end up in link names, file names and rules: letters, digits and `_.:-` only. */
const IDENTIFIER = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/;

export function isWireObject(value: unknown): value is WireObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Short, whatever came: hostile values may be huge or nested beyond any stack. */
function shown(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  if (typeof value !== 'string') return String(value);
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
}

export class WireReader {
  readonly #object: WireObject;
  readonly #where: string;
  readonly #path: string;

  /** `where` is the method, for the error text; `path` the dotted way from the body to this object. */
  constructor(where: string, value: unknown, path = '') {
    this.#where = where;
    this.#path = path;
    if (isWireObject(value)) this.#object = value;
    else if (value === undefined || value === null) {
      throw new PluginError('PROTO_BODY', `${where}: ${path === '' ? 'the request body' : path} is missing`, {
        hint: 'a JSON object is needed; a repeat after a lost connection has no body, so run the command again',
      });
    } else {
      throw new PluginError(
        'PROTO_BODY',
        `${where}: ${path === '' ? 'the body' : path} must be a JSON object, not ${shown(value)}`,
      );
    }
  }

  refuse(name: string, expected: string): never {
    throw new PluginError(
      'PROTO_BODY',
      `${this.#where}: ${this.#name(name)} must be ${expected}, not ${shown(this.raw(name))}`,
    );
  }

  /** The value as it came, undefined for null. */
  raw(name: string): unknown {
    let value = Object.hasOwn(this.#object, name) ? this.#object[name] : undefined;
    if (value === undefined) {
      const wanted = name.toLowerCase();
      const key = Object.keys(this.#object).find((candidate) => candidate.toLowerCase() === wanted);
      if (key !== undefined) value = this.#object[key];
    }
    return value ?? undefined;
  }

  get keys(): string[] {
    return Object.keys(this.#object);
  }

  /** undefined for missing, null and `""`. */
  optionalText(name: string): string | undefined {
    const value = this.raw(name);
    if (value === undefined || value === '') return undefined;
    return typeof value === 'string' ? value : this.refuse(name, 'a string');
  }

  /** `""` for missing and null. */
  text(name: string): string {
    return this.optionalText(name) ?? '';
  }

  requiredText(name: string): string {
    return this.optionalText(name) ?? this.refuse(name, 'a non-empty string');
  }

  identifier(name: string): string {
    const text = this.requiredText(name);
    return IDENTIFIER.test(text) ? text : this.refuse(name, 'an identifier of up to 128 letters, digits and "_.:-"');
  }

  /** A path of the host: absolute, without NUL. */
  absolutePath(name: string): string {
    const text = this.requiredText(name);
    return text.startsWith('/') && !text.includes('\0') ? text : this.refuse(name, 'an absolute path');
  }

  flag(name: string, otherwise = false): boolean {
    const value = this.raw(name);
    if (value === undefined) return otherwise;
    return typeof value === 'boolean' ? value : this.refuse(name, 'true or false');
  }

  /** A missing number is refused unless there is one to use instead. */
  integer(name: string, min: number, max: number, otherwise?: number): number {
    const value = this.raw(name);
    if (value === undefined && otherwise !== undefined) return otherwise;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      return this.refuse(name, `a whole number from ${min} to ${max}`);
    }
    return value;
  }

  /** An empty object for missing and null. */
  object(name: string): WireReader {
    return new WireReader(this.#where, this.raw(name) ?? {}, this.#name(name));
  }

  optionalObject(name: string): WireReader | undefined {
    return this.raw(name) === undefined ? undefined : this.object(name);
  }

  /** The object as it came, `{}` for missing and null. */
  plain(name: string): WireObject {
    const value = this.raw(name) ?? {};
    return isWireObject(value) ? value : this.refuse(name, 'an object');
  }

  list(name: string): readonly unknown[] {
    const value = this.raw(name) ?? [];
    return Array.isArray(value) ? value : this.refuse(name, 'a list');
  }

  objects(name: string): WireReader[] {
    return this.list(name).map((item, index) => new WireReader(this.#where, item, `${this.#name(name)}[${index}]`));
  }

  texts(name: string): string[] {
    return this.list(name).map((item) => (typeof item === 'string' ? item : this.refuse(name, 'a list of strings')));
  }

  /** A map of strings; null values count as empty strings, since that is how Go reads them. */
  textMap(name: string): Record<string, string> {
    const entries = Object.entries(this.plain(name)).map(([key, value]): [string, string] => {
      if (value !== null && typeof value !== 'string') {
        return new WireReader(this.#where, this.plain(name), this.#name(name)).refuse(key, 'a string');
      }
      return [key, value ?? ''];
    });
    return Object.fromEntries(entries);
  }

  #name(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`;
  }
}

/** `{ [key]: value }`, or nothing where the value is absent: exact optional properties forbid an undefined one. */
export function present<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: V };
}
