/** What differs between the options a volume was made with and those it is asked for again. Pure. */

type Options = Readonly<Record<string, string>>;

/** Options that say how a request is to be treated, not what the volume is. */
const transient: ReadonlySet<string> = new Set(['on-change']);

export function keptOptions(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([key]) => !transient.has(key)));
}

/** One clause for each difference, sorted by option: `size was "1g" and is "2g"`. Empty: the same volume. */
export function describeDrift(
  before: Options,
  after: Options,
  mask: (key: string, value: string) => string,
): readonly string[] {
  const [was, is] = [keptOptions(before), keptOptions(after)];
  const keys = [...new Set([...Object.keys(was), ...Object.keys(is)])].sort();
  const shown = (options: Options, key: string): string => {
    const value = options[key];
    return value === undefined ? 'not given' : JSON.stringify(mask(key, value));
  };
  return keys
    .filter((key) => was[key] !== is[key])
    .map((key) => `${key} was ${shown(was, key)} and is ${shown(is, key)}`);
}
