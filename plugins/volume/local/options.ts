/**
 * Options of cleat-local: those of Docker's own local driver (`type`, `o`, `device`, `size`) with their meaning, and ours.
 */

import { PluginError } from '../../sdk/errors.ts';
import { choice, custom, flag, integer, size, text } from '../../sdk/option-kinds.ts';
import { parseOptions } from '../../sdk/options.ts';
import { type CommonConfig, commonSchema } from '../common-options.ts';
import { type MountOption, parseMountOptions } from '../mount-options.ts';
import { subFolderOption } from '../sub-folder.ts';

const driver = 'cleat-local';

const absolutePath = {
  expected: 'an absolute path',
  find: (value: string) => (value.startsWith('/') && !value.includes('\0') ? value : undefined),
};

const schema = {
  ...commonSchema,
  type: text('type', { pattern: /^[a-z0-9_.+-]+$/i, expected: 'a file system type such as ext4, nfs, tmpfs or none' }),
  device: text('device'),
  mountOptions: text(['o', 'options'], { empty: true }),
  createDevice: flag('create', { otherwise: false }),
  subdir: subFolderOption,
  size: size('size', { min: 1 }),
  inodes: integer('inodes', { min: 16, max: 2 ** 32 - 1 }),
  quota: choice('quota', ['auto', 'project', 'image'], { otherwise: 'auto' }),
  fs: choice('fs', ['ext4', 'xfs', 'btrfs'], { otherwise: 'ext4' }),
  preallocate: flag('preallocate', { otherwise: false }),
  credentials: custom('credentials', absolutePath),
} as const;

/** Where the data of a volume is. */
export type Place =
  /** A folder of ours. */
  | { readonly kind: 'folder' }
  /** A folder of ours with limits, or a file system in a file where the folder's file system has no project quota. */
  | { readonly kind: 'limited'; readonly bytes: number | undefined; readonly inodes: number | undefined }
  /** A folder of the machine. */
  | {
      readonly kind: 'bind';
      readonly device: string;
      readonly recursive: boolean;
      readonly options: readonly MountOption[];
    }
  | {
      readonly kind: 'mount';
      readonly fsType: string;
      readonly device: string;
      readonly options: readonly MountOption[];
    };

export interface LocalConfig extends CommonConfig {
  readonly place: Place;
  readonly create: boolean;
  readonly subdir: readonly string[] | undefined;
  readonly quota: 'auto' | 'project' | 'image';
  readonly fs: 'ext4' | 'xfs' | 'btrfs';
  readonly preallocate: boolean;
  readonly credentials: string | undefined;
}

export function parseLocalOptions(options: Readonly<Record<string, string>>): LocalConfig {
  const {
    type,
    device,
    mountOptions,
    createDevice,
    size: bytes,
    inodes,
    ...rest
  } = parseOptions(schema, options, { driver });
  const place = findPlace(type, device, mountOptions, bytes, inodes);
  if (place.kind !== 'mount' && rest.credentials !== undefined)
    throw refuse('credentials= is for mounts with type=', 'leave it out');
  if (place.kind !== 'bind' && createDevice) throw refuse('create=true is for device=/folder', 'leave it out');
  return { ...rest, create: createDevice, place };
}

function findPlace(
  type: string | undefined,
  device: string | undefined,
  o: string | undefined,
  bytes: number | undefined,
  inodes: number | undefined,
): Place {
  const options = parseMountOptions(o ?? '');
  if (device === undefined) {
    // As Docker says it: volume/local/local_unix.go, validateOpts.
    if (type !== undefined) throw refuse('missing required option: "device"', 'give device= with type=');
    if (o !== undefined) throw refuse('missing required option: "device"', 'give device= with o=');
    return bytes === undefined && inodes === undefined ? { kind: 'folder' } : { kind: 'limited', bytes, inodes };
  }
  if (bytes !== undefined || inodes !== undefined) {
    throw refuse(
      'size= and inodes= limit volumes that are folders of our own, and this one has a device',
      'leave one of them out; for type=tmpfs use o=size=…',
    );
  }
  const flags = new Set(options.map(({ name }) => name));
  const recursive = flags.has('rbind');
  if (flags.has('bind') || recursive || type === undefined || type === 'none' || type === 'bind') {
    if (!device.startsWith('/'))
      throw refuse(`device=${device} is no absolute path`, 'give type= for a file system that is no folder');
    return {
      kind: 'bind',
      device,
      recursive,
      options: options.filter(({ name }) => name !== 'bind' && name !== 'rbind'),
    };
  }
  return { kind: 'mount', fsType: type, device, options };
}

function refuse(message: string, hint: string): PluginError {
  return new PluginError('PROTO_OPTION', `${driver}: ${message}`, { hint });
}
