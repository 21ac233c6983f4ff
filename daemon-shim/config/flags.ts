/** The command line, by the rules of the flag library that dockerd uses: `--name value`, `--name=value`, `-Hvalue`, `-D`. */
import { nearestName } from '../../plugins/sdk/index.ts';
import { ConfigError, type OptionSpec, type OptionValue, type OptionValues } from './option.ts';
import { allOptions } from './options.ts';
import { parseFlagValue } from './value.ts';

/** Throws ConfigError with dockerd's words. */
export function parseFlags(argv: readonly string[]): OptionValues {
  const values = new Map<string, OptionValue>();
  const pending = [...argv];
  const set = (option: OptionSpec, text: string) =>
    values.set(option.name, parseFlagValue(option, text, values.get(option.name)));
  for (let word = pending.shift(); word !== undefined; word = pending.shift()) {
    if (word.startsWith('--') && word.length > 2) {
      const at = word.indexOf('=');
      const name = word.slice(2, at < 0 ? undefined : at);
      const option = findLong(name);
      if (at >= 0) set(option, word.slice(at + 1));
      else if (option.kind === 'flag') set(option, 'true');
      else set(option, takeValue(pending, `flag needs an argument: --${name}`));
    } else if (word.startsWith('-') && word.length > 1) {
      parseShort(word, pending, set);
    } else {
      throw new ConfigError(`"cleat-shim" accepts no arguments: ${word}`, true);
    }
  }
  return values;
}

/** `-D`, `-H value`, `-Hvalue`, `-H=value`, `-DH value`. */
function parseShort(word: string, pending: string[], set: (option: OptionSpec, text: string) => void): void {
  let rest = word.slice(1);
  while (rest !== '') {
    const letter = rest[0] as string;
    const option = allOptions.find((candidate) => candidate.short === letter);
    if (option === undefined) throw new ConfigError(`unknown shorthand flag: '${letter}' in ${word}`, true);
    rest = rest.slice(1);
    if (option.kind === 'flag' && !rest.startsWith('=')) {
      set(option, 'true');
      continue;
    }
    const value = rest.startsWith('=') ? rest.slice(1) : rest;
    set(option, rest !== '' ? value : takeValue(pending, `flag needs an argument: '${letter}' in ${word}`));
    return;
  }
}

function findLong(name: string): OptionSpec {
  const option = allOptions.find((candidate) => candidate.name === name);
  if (option !== undefined) return option;
  const nearest = nearestName(
    name,
    allOptions.map((candidate) => candidate.name),
  );
  throw new ConfigError(`unknown flag: --${name}${nearest === undefined ? '' : ` (did you mean --${nearest}?)`}`, true);
}

function takeValue(pending: string[], otherwise: string): string {
  const value = pending.shift();
  if (value === undefined) throw new ConfigError(otherwise, true);
  return value;
}
