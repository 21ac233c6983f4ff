/** Options of cleat-tmpfs: typed ones, and the `type=tmpfs,device=tmpfs,o=…` of Docker's local driver. */
import { PluginError } from '../../sdk/errors.ts';
import { custom, flag, integer, size, text } from '../../sdk/option-kinds.ts';
import { parseOptions } from '../../sdk/options.ts';
import { findDurationMs } from '../../sdk/units.ts';
import { type CommonConfig, commonSchema } from '../common-options.ts';
import { formatMountOptions, type MountOption, parseMountOptions } from '../mount-options.ts';

const driver = 'cleat-tmpfs';
const longestKeepMs = 365 * 24 * 3_600_000;

const schema = {
  ...commonSchema,
  size: custom('size', { expected: 'a size such as 64m or 1g, or a part of the memory such as 25%', find: findSize }),
  inodes: integer(['nr_inodes', 'inodes'], { min: 2, max: 2 ** 32 - 1 }),
  exec: flag('exec', { otherwise: true }),
  noexec: flag('noexec', { otherwise: false }),
  huge: text('huge', {
    pattern: /^(never|always|within_size|advise)$/,
    expected: 'never, always, within_size or advise',
  }),
  keepMs: custom('keep', { expected: 'a duration such as 10m, or always, or never', find: findKeep }, { otherwise: 0 }),
  type: text('type', { pattern: /^tmpfs$/, expected: 'tmpfs' }),
  device: text('device'),
  mountOptions: text(['o', 'options'], { empty: true }),
} as const;

export interface TmpfsConfig extends CommonConfig {
  /** Everything for `mount -t tmpfs -o`. */
  readonly options: string;
  /** How long the content outlives the last holder; Infinity until the volume is removed. */
  readonly keepMs: number;
  readonly limited: boolean;
}

const sizeOption = size('size', { min: 4096 });

/** Bytes, or the kernel's own percentage of the memory. */
function findSize(value: string): string | undefined {
  if (/^([1-9]\d?|100)%$/.test(value)) return value;
  const bytes = sizeOption.read('size', value, driver, undefined);
  return bytes === undefined ? undefined : String(bytes);
}

function findKeep(value: string): number | undefined {
  if (value === 'always') return Number.POSITIVE_INFINITY;
  if (value === 'never') return 0;
  const milliseconds = findDurationMs(value);
  return milliseconds !== undefined && milliseconds >= 0 && milliseconds <= longestKeepMs ? milliseconds : undefined;
}

export function parseTmpfsOptions(options: Readonly<Record<string, string>>): TmpfsConfig {
  const {
    size: bytes,
    inodes,
    exec,
    noexec,
    huge,
    mountOptions,
    type: _,
    device: _device,
    ...rest
  } = parseOptions(schema, options, { driver });
  const given = parseMountOptions(mountOptions ?? '');
  if (given.some(({ name }) => name === 'bind' || name === 'remount')) {
    throw new PluginError('PROTO_OPTION', `${driver}: o=${mountOptions} is not for a tmpfs`, {
      hint: 'use cleat-local for bind mounts',
    });
  }
  const typed: MountOption[] = [
    option('size', bytes),
    option('nr_inodes', inodes),
    option('uid', rest.uid),
    option('gid', rest.gid),
    option('mode', rest.mode?.toString(8)),
    option('huge', huge),
  ].flat();
  const named = new Set(given.map(({ name }) => name));
  const flags = ['nosuid', 'nodev', ...(noexec || !exec ? ['noexec'] : [])]
    .filter((name) => !named.has(name) && !named.has(name.slice(2)))
    .map((name) => ({ name, value: undefined }));
  // What `o=` says wins, as it is the word of an existing compose file.
  const all = [...flags, ...typed.filter(({ name }) => !named.has(name)), ...given];
  return { ...rest, options: formatMountOptions(all), limited: all.some(({ name }) => name === 'size') };
}

function option(name: string, value: string | number | undefined): readonly MountOption[] {
  return value === undefined ? [] : [{ name, value: String(value) }];
}
