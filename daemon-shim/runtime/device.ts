/** Device nodes of the host: what the runtime makes in the container, and what the control group lets it do with them. */
import { readdirSync, realpathSync, type Stats, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ApiError, badRequest } from '../api/api-error.ts';
import type { DeviceMapping } from '../container/record.ts';

export interface OciDevice {
  readonly path: string;
  readonly type: 'c' | 'b' | 'p';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface DeviceRule {
  readonly allow: boolean;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

export interface DevicePlan {
  readonly devices: readonly OciDevice[];
  readonly rules: readonly DeviceRule[];
}

/** Folders and links of /dev that are made anew in every container. */
const skippedInDev = new Set(['pts', 'shm', 'fd', 'mqueue', '.lxc', '.lxd-mounts', '.udev', 'console']);

/** Docker's default rules: make any node, use the harmless ones. */
const harmless: readonly DeviceRule[] = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  ...[
    [1, 3], // null
    [1, 5], // zero
    [1, 7], // full
    [1, 8], // random
    [1, 9], // urandom
    [5, 0], // tty
    [5, 1], // console
    [5, 2], // ptmx
  ].map(([major = 0, minor = 0]) => ({ allow: true, type: 'c', major, minor, access: 'rwm' })),
  { allow: true, type: 'c', major: 136, access: 'rwm' }, // pts
];

export interface DeviceRequest {
  readonly privileged: boolean;
  readonly mappings: readonly DeviceMapping[];
  /** `c 1:3 rwm`. */
  readonly cgroupRules: readonly string[];
}

/** Throws Docker's words for a device that is not there. */
export function planDevices({ privileged, mappings, cgroupRules }: DeviceRequest): DevicePlan {
  const mapped = mappings.flatMap((mapping) => mappedDevices(mapping));
  if (privileged) {
    const renamed = mapped.map(({ device }) => device).filter((device) => !device.path.startsWith('/dev/'));
    return { devices: [...hostDevices('/dev'), ...renamed], rules: [{ allow: true, access: 'rwm' }] };
  }
  return {
    devices: mapped.map(({ device }) => device),
    rules: [
      ...harmless,
      ...mapped.map(({ device: { type, major, minor }, access }) => ({ allow: true, type, major, minor, access })),
      ...cgroupRules.map(parseDeviceRule),
    ],
  };
}

function mappedDevices(mapping: DeviceMapping): { device: OciDevice; access: string }[] {
  const { PathOnHost: source, PathInContainer: target = source, CgroupPermissions: access = 'rwm' } = mapping;
  const real = tryStat(source);
  if (real === undefined)
    throw new ApiError(
      500,
      `error gathering device information while adding custom device "${source}": no such file or directory`,
    );
  const one = deviceOf(target, real);
  if (one !== undefined) return [{ device: one, access }];
  const folder = real.isDirectory() ? hostDevices(realpathSync(source)) : [];
  if (folder.length === 0)
    throw new ApiError(
      500,
      `error gathering device information while adding custom device "${source}": not a device node`,
    );
  return folder.map((device) => ({
    device: { ...device, path: join(target, relative(realpathSync(source), device.path)) },
    access,
  }));
}

/** `[a|b|c] MAJOR:MINOR [rwm]`, as the control group writes it. */
export function parseDeviceRule(text: string): DeviceRule {
  const match = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(text);
  if (match === null) throw badRequest(`invalid device cgroup rule format: '${text}'`);
  const [, type = 'a', major = '*', minor = '*', access = 'rwm'] = match;
  return {
    allow: true,
    type,
    ...(major === '*' ? {} : { major: Number(major) }),
    ...(minor === '*' ? {} : { minor: Number(minor) }),
    access,
  };
}

function hostDevices(folder: string): OciDevice[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isSymbolicLink() || skippedInDev.has(entry.name)) return [];
    if (entry.isDirectory()) return hostDevices(path);
    const stat = tryStat(path);
    const device = stat && deviceOf(path, stat);
    return device === undefined ? [] : [device];
  });
}

function deviceOf(path: string, stat: Stats): OciDevice | undefined {
  const type = stat.isCharacterDevice() ? 'c' : stat.isBlockDevice() ? 'b' : undefined;
  if (type === undefined) return undefined;
  const { major, minor } = splitDevice(stat.rdev);
  return { path, type, major, minor, fileMode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
}

/** gnu_dev_major(3), gnu_dev_minor(3). */
export function splitDevice(device: number): { major: number; minor: number } {
  const bits = BigInt(device);
  return {
    major: Number(((bits >> 8n) & 0xfffn) | ((bits >> 32n) & ~0xfffn)),
    minor: Number((bits & 0xffn) | ((bits >> 12n) & ~0xffn)),
  };
}

function tryStat(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}
