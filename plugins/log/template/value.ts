/** Values that a template works on, and how Go prints and judges them. */
import { goJsonString } from '../go-json.ts';
import { TemplateError } from './lexer.ts';

/** A number that Go would hold as float64; plain numbers are its ints. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** What has fields and methods: a Go struct. */
export interface Struct {
  readonly structName: string;
  /** In the order of the Go declaration. */
  readonly fields: ReadonlyMap<string, Value>;
  readonly methods: ReadonlyMap<string, (...args: readonly Value[]) => Value>;
  /** How fmt prints it and json encodes it, where that differs. */
  readonly text?: string;
  readonly json?: string;
}

export type Value =
  | string
  | number
  | Float
  | boolean
  | null
  | undefined
  | readonly Value[]
  | ReadonlyMap<string, Value>
  | Struct;

export function isStruct(value: Value): value is Struct {
  return typeof value === 'object' && value !== null && 'structName' in value;
}

export function isMap(value: Value): value is ReadonlyMap<string, Value> {
  return value instanceof Map;
}

/** Go's names of the types, for messages. */
export function typeName(value: Value): string {
  if (typeof value === 'string') return 'string';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'boolean') return 'bool';
  if (value instanceof Float) return 'float64';
  if (value === null || value === undefined) return 'nil';
  if (Array.isArray(value)) return '[]string';
  if (isMap(value)) return 'map[string]string';
  return isStruct(value) ? value.structName : 'value';
}

/** Go's truth: not the zero value, and not empty. */
export function isTrue(value: Value): boolean {
  if (value === null || value === undefined) return false;
  if (typeof value === 'string') return value !== '';
  if (typeof value === 'number') return value !== 0;
  if (typeof value === 'boolean') return value;
  if (value instanceof Float) return value.value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  return isMap(value) ? value.size > 0 : true;
}

/** fmt.Print of one value. */
export function printValue(value: Value): string {
  if (value === undefined) return '<no value>';
  if (value === null) return '<nil>';
  if (value instanceof Float) return printFloat(value.value);
  if (Array.isArray(value)) return `[${value.map(printValue).join(' ')}]`;
  if (isMap(value))
    return `map[${sortedEntries(value)
      .map(([key, item]) => `${key}:${printValue(item)}`)
      .join(' ')}]`;
  if (isStruct(value)) return value.text ?? `{${[...value.fields.values()].map(printValue).join(' ')}}`;
  return String(value);
}

function printFloat(value: number): string {
  const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  if (exponent >= -4 && exponent < 21) return String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}

/** encoding/json without HTML escapes, as Docker's `json` function. */
export function jsonValue(value: Value): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return goJsonString(value, false);
  if (value instanceof Float) return String(value.value);
  if (Array.isArray(value)) return `[${value.map(jsonValue).join(',')}]`;
  if (isMap(value)) {
    return `{${sortedEntries(value)
      .map(([key, item]) => `${goJsonString(key, false)}:${jsonValue(item)}`)
      .join(',')}}`;
  }
  if (isStruct(value)) {
    const fields = [...value.fields].map(([name, item]) => `${goJsonString(name, false)}:${jsonValue(item)}`);
    return value.json ?? `{${fields.join(',')}}`;
  }
  return String(value);
}

function sortedEntries(map: ReadonlyMap<string, Value>): [string, Value][] {
  return [...map].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

export function fieldOf(value: Value, name: string, args: readonly Value[] = []): Value {
  const method = isStruct(value) ? value.methods.get(name) : undefined;
  if (args.length > 0 && method === undefined)
    throw new TemplateError(`${name} has arguments but cannot be invoked as function`);
  if (isStruct(value)) {
    if (method !== undefined) {
      if (args.length !== method.length)
        throw new TemplateError(`wrong number of args for ${name}: want ${method.length} got ${args.length}`);
      return method(...args);
    }
    if (value.fields.has(name)) return value.fields.get(name);
    throw new TemplateError(`can't evaluate field ${name} in type ${value.structName}`);
  }
  if (isMap(value)) return value.get(name);
  if (value === null || value === undefined) throw new TemplateError(`nil pointer evaluating field ${name}`);
  throw new TemplateError(`can't evaluate field ${name} in type ${typeName(value)}`);
}
