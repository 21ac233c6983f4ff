/** Options that bound a log on disk, the same for every driver; names and units are those of Docker's json-file. */

import { PluginError } from '../sdk/errors.ts';
import { custom, duration, flag, integer } from '../sdk/option-kinds.ts';
import type { OptionValues } from '../sdk/options.ts';
import type { RotationLimits } from './files/active-file.ts';

/** go-units FromHumanSize: decimal units, unlike most sizes of Docker. A fraction and a blank before the unit are allowed. */
export function findDecimalSize(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d*)?|\.\d+) ?([kmgtp]?)(?:i?b)?$/i.exec(text) ?? [];
  if (number === undefined) return undefined;
  const exponent = ['', 'k', 'm', 'g', 't', 'p'].indexOf(unit.toLowerCase());
  const bytes = Math.trunc(Number(number) * 1000 ** exponent);
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}

const maxSize = {
  expected: 'a size such as 500k, 10m or 1g (powers of 1000), or -1 for no limit',
  find: (value: string) => (value === '-1' ? Number.POSITIVE_INFINITY : findDecimalSize(value)),
};

/** What Docker's `local` driver uses; its json-file has no limit at all, which fills disks. */
export const defaultMaxSizeBytes = 20_000_000;
export const defaultMaxFiles = 5;

export const rotationOptions = {
  maxSize: custom('max-size', maxSize),
  maxFile: integer('max-file', { min: 1, max: 1_000_000 }),
  maxAge: duration('max-age', { min: 1000, max: 100 * 365 * 86_400_000 }),
  compress: flag('compress'),
};

export type RotationValues = OptionValues<typeof rotationOptions>;

/** Given max-size alone, Docker keeps one file; given nothing, our limits apply. */
export function rotationLimits(values: RotationValues, driver: string): RotationLimits {
  const maxSizeBytes = values.maxSize ?? defaultMaxSizeBytes;
  const maxFiles = values.maxFile ?? (values.maxSize === undefined ? defaultMaxFiles : 1);
  if (values.compress && (maxFiles === 1 || maxSizeBytes === Number.POSITIVE_INFINITY)) {
    throw new PluginError('PROTO_OPTION', `${driver}: compress needs rotated files, and there are none`, {
      hint: 'give max-size and a max-file of 2 or more',
    });
  }
  return { maxSizeBytes, maxFiles, compress: values.compress ?? false };
}

export function rotationSettings(limits: RotationLimits, maxAgeMs: number | undefined): Record<string, string> {
  return {
    'max-size': limits.maxSizeBytes === Number.POSITIVE_INFINITY ? '-1' : String(limits.maxSizeBytes),
    'max-file': String(limits.maxFiles),
    'max-age': maxAgeMs === undefined ? 'none' : `${maxAgeMs / 1000}s`,
    compress: String(limits.compress),
  };
}
