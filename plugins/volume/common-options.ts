/** Options that every volume driver takes. */
import { choice, custom, duration, flag, integer, list, prefixed, text } from '../sdk/option-kinds.ts';
import type { OptionValues } from '../sdk/options.ts';
import { maxTimeoutMs } from './mount-deadline.ts';

/** An octal file mode: `750`, `0750`, `1777`. */
const mode = custom('mode', {
  expected: 'an octal file mode such as 0750 or 1777',
  find: (value: string) => (/^0?[0-7]{3,4}$/.test(value) ? Number.parseInt(value, 8) : undefined),
});

const maxId = 2 ** 32 - 2;

export const commonSchema = {
  uid: integer('uid', { min: 0, max: maxId }),
  gid: integer('gid', { min: 0, max: maxId }),
  mode,
  /** uid, gid and mode for everything that is in the volume when it is first mounted, not for its root alone. */
  recursive: flag('recursive', { otherwise: false }),
  readOnly: flag(['ro', 'readonly'], { otherwise: false }),
  onChange: choice('on-change', ['refuse', 'update'], { otherwise: 'refuse' }),
  mountTimeoutMs: duration('mount-timeout', { min: 500, max: maxTimeoutMs }),
  label: prefixed('label.', (name) => text(name, { empty: true })),
  labels: list('labels', { item: /^[^=\s]+(=.*)?$/, expected: 'KEY=VALUE pairs with "," between them' }),
} as const;

export type CommonConfig = OptionValues<typeof commonSchema>;

/** Labels of both spellings: `label.KEY=VALUE` and `labels=KEY=VALUE,…`. */
export function labelsOf({ label, labels }: CommonConfig): Readonly<Record<string, string>> {
  const pairs = labels.map((pair): [string, string] => {
    const split = pair.indexOf('=');
    return split < 0 ? [pair, ''] : [pair.slice(0, split), pair.slice(split + 1)];
  });
  return Object.fromEntries([...pairs, ...Object.entries(label)]);
}

export interface Ownership {
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
}

export function ownershipOf({ uid, gid, mode }: CommonConfig): Ownership {
  return {
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
    ...(mode === undefined ? {} : { mode }),
  };
}

export function ownsNothing({ uid, gid, mode }: Ownership): boolean {
  return uid === undefined && gid === undefined && mode === undefined;
}
