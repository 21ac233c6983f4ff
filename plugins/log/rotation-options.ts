/** Options that bound a log on disk, the same for every driver; names and units are those of Docker's json-file. */

import { PluginError } from '../sdk/errors.ts';
import { duration, flag, integer } from '../sdk/option-kinds.ts';
import type { OptionValues } from '../sdk/options.ts';
import { decimalLimit } from './decimal-size.ts';
import type { RotationLimits } from './files/active-file.ts';

/** What Docker's `local` driver uses; its json-file has no limit at all, which fills disks. */
export const defaultMaxSizeBytes = 20_000_000;
export const defaultMaxFiles = 5;

export const rotationOptions = {
  maxSize: decimalLimit('max-size'),
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
