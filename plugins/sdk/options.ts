/**
 * Driver options, declared once: `-o name=value` strings in, typed values out. Unknown names are refused with the nearest
 * known one, wrong values with what is allowed.
 *
 *     const schema = {
 *       mtu: integer('com.docker.network.driver.mtu', { min: 68, max: 65535 }),
 *       icc: flag('com.docker.network.bridge.enable_icc', { otherwise: true }),
 *       records: prefixed('cleat.record.', text),
 *     };
 *     const { mtu, icc, records } = parseOptions(schema, request.options, { driver: 'cleat-bridge' });
 */
import { PluginError } from './errors.ts';
import { nearestName } from './nearest-name.ts';
import type { Option } from './option-kinds.ts';

export type OptionSchema = Readonly<Record<string, Option<unknown>>>;

export type OptionValues<S extends OptionSchema> = {
  readonly [K in keyof S]: S[K] extends Option<infer T> ? T : never;
};

export interface OptionContext {
  /** Named in every error. */
  readonly driver: string;
}

/** Throws PROTO_OPTION_UNKNOWN and PROTO_OPTION. Nothing given leaves every option at its default. */
export function parseOptions<S extends OptionSchema>(
  schema: S,
  given: Readonly<Record<string, string>>,
  context: OptionContext,
): OptionValues<S> {
  const values: [string, unknown][] = Object.entries(schema).map(([key, option]) => [key, option.otherwise()]);
  const results = new Map(values);
  const spelled = new Map<string, string>();
  for (const [name, value] of Object.entries(given)) {
    const key = Object.keys(schema).find((candidate) => schema[candidate]?.matches(name));
    const option = key === undefined ? undefined : schema[key];
    if (key === undefined || option === undefined) throw unknownOption(name, optionNames(schema), context.driver);
    const earlier = spelled.get(key);
    if (earlier !== undefined && !option.many) {
      throw new PluginError('PROTO_OPTION', `${context.driver}: options "${earlier}" and "${name}" are the same`, {
        hint: 'give one of them',
      });
    }
    spelled.set(key, name);
    results.set(key, option.read(name, value, context.driver, results.get(key)));
  }
  for (const [key, option] of Object.entries(schema)) {
    if (option.required && !spelled.has(key)) {
      throw new PluginError('PROTO_OPTION', `${context.driver}: option "${option.names[0]}" is missing`, {
        hint: `give it: ${option.expected}`,
      });
    }
  }
  // Every key of the schema has its value: the loop above only replaced them.
  return Object.fromEntries(results) as OptionValues<S>;
}

/** The names that a schema knows, for help texts and manual pages. */
export function optionNames(schema: OptionSchema): string[] {
  return Object.values(schema)
    .flatMap((option) => option.names)
    .sort();
}

/** PROTO_OPTION_UNKNOWN, with the name that was probably meant and all that there are. `driver`: whose options they are. */
export function unknownOption(name: string, names: readonly string[], driver: string): PluginError {
  const nearest = nearestName(name, names);
  const known = names.length > 0 ? `known options: ${names.join(', ')}` : 'it has no options';
  const meant = nearest === undefined ? '' : `did you mean "${nearest}"? `;
  return new PluginError('PROTO_OPTION_UNKNOWN', `${driver} has no option "${name}"`, { hint: `${meant}${known}` });
}
