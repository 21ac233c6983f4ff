/** The configuration file, a daemon.json: read, checked key by key, and put together with the flags by dockerd's rule. */
import { readFileSync } from 'node:fs';
import { ConfigError, type OptionSpec, type OptionValue, type OptionValues } from './option.ts';
import { allOptions, keyOf } from './options.ts';
import { checkFileValue, formatValue } from './value.ts';

/** Both may name runtimes: they are joined. Everything else is either a flag or in the file. */
const joined = ['add-runtime'];

/** `{}` when a file that nobody named is not there. Throws ConfigError. */
export function readConfigFile(path: string, named: boolean): OptionValues {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !named) return new Map();
    throw failed(path, (error as Error).message);
  }
  if (text.trim() === '') return new Map();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw failed(path, `invalid JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw failed(path, 'invalid JSON: no object');
  try {
    return readKeys(value as Record<string, unknown>);
  } catch (error) {
    if (error instanceof ConfigError) throw failed(path, error.message);
    throw error;
  }
}

function readKeys(file: Readonly<Record<string, unknown>>): OptionValues {
  const values = new Map<string, OptionValue>();
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(flatten(file))) {
    const option = findByKey(key);
    if (option === undefined) unknown.push(key);
    else if (value !== null) values.set(option.name, checkFileValue(option, key, value));
  }
  if (unknown.length > 0) {
    throw new ConfigError(`the following directives don't match any configuration option: ${unknown.join(', ')}`);
  }
  return values;
}

/** `proxies` groups keys; nothing else does. */
function flatten(file: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { proxies, ...rest } = file;
  if (typeof proxies !== 'object' || proxies === null) return { ...file };
  return { ...rest, ...Object.fromEntries(Object.entries(proxies).map(([key, value]) => [`proxies.${key}`, value])) };
}

function findByKey(key: string): OptionSpec | undefined {
  // The singular was the key until Docker 27.
  const wanted = key === 'host-gateway-ip' ? 'host-gateway-ips' : key;
  return allOptions.find((option) => keyOf(option) === wanted);
}

/** Throws ConfigError naming everything that is given twice. */
export function mergeValues(flags: OptionValues, file: OptionValues, path: string): OptionValues {
  const conflicts = [...file]
    .filter(([name]) => flags.has(name) && !joined.includes(name))
    .map(([name, value]) => {
      const option = allOptions.find((candidate) => candidate.name === name) as OptionSpec;
      return `${keyOf(option)}: (from flag: ${formatValue(flags.get(name) as OptionValue)}, from file: ${formatValue(value)})`;
    })
    .sort();
  if (conflicts.length > 0) {
    throw failed(
      path,
      `the following directives are specified both as a flag and in the configuration file: ${conflicts.join(', ')}`,
    );
  }
  const merged = new Map([...flags, ...file]);
  for (const name of joined) {
    const both = { ...(file.get(name) as object | undefined), ...(flags.get(name) as object | undefined) };
    if (Object.keys(both).length > 0) merged.set(name, both as OptionValue);
  }
  return merged;
}

function failed(path: string, reason: string): ConfigError {
  return new ConfigError(`unable to configure cleat-shim with file ${path}: ${reason}`);
}
