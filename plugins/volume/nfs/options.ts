/** Options of cleat-nfs: typed and checked, besides Docker's `type=nfs,o=addr=…,device=:/path`. */
import { createHash } from 'node:crypto';
import { PluginError } from '../../sdk/errors.ts';
import { choice, custom, flag, integer, list, size, text } from '../../sdk/option-kinds.ts';
import { parseOptions } from '../../sdk/options.ts';
import { type CommonConfig, commonSchema } from '../common-options.ts';
import {
  findMountOption,
  formatMountOptions,
  type MountOption,
  parseMountOptions,
  withoutMountOptions,
} from '../mount-options.ts';
import { subFolderOption } from '../sub-folder.ts';

const driver = 'cleat-nfs';

/** Newest first: the order in which they are tried when none is asked for. nfs(5). */
export const nfsVersions = ['4.2', '4.1', '4.0', '3'] as const;
export type NfsVersion = (typeof nfsVersions)[number];

const serverName =
  /^[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?$|^[0-9a-fA-F:.]+(%[a-zA-Z0-9_.-]+)?$|^\[[0-9a-fA-F:.]+\]$/;

const exportPath = {
  expected: 'an absolute path of the server',
  find: (value: string) => (/^\/[^\0]*$/.test(value) && !value.split('/').includes('..') ? value : undefined),
};

/** nfs(5) counts timeo in tenths of a second; a duration says its unit. */
const timeoOption = custom('timeo', {
  expected: 'tenths of a second from 1 to 6000',
  find: (value: string) =>
    /^\d{1,4}$/.test(value) && Number(value) >= 1 && Number(value) <= 6000 ? Number(value) : undefined,
});

const schema = {
  ...commonSchema,
  server: list(['server', 'servers'], {
    item: serverName,
    expected: 'names or addresses of servers with "," between them',
  }),
  export: custom('export', exportPath),
  version: choice(['version', 'vers', 'nfsvers'], [...nfsVersions, '4']),
  subdir: subFolderOption,
  /** Whether a missing sub-folder is made on the server. */
  create: flag('create', { otherwise: true }),
  soft: flag('soft'),
  hard: flag('hard'),
  nolock: flag('nolock'),
  timeo: timeoOption,
  retrans: integer('retrans', { min: 0, max: 100 }),
  rsize: size('rsize', { min: 1024, max: 1_048_576 }),
  wsize: size('wsize', { min: 1024, max: 1_048_576 }),
  proto: choice('proto', ['tcp', 'tcp6', 'udp', 'udp6', 'rdma']),
  port: integer('port', { min: 1, max: 65_535 }),
  mountport: integer('mountport', { min: 1, max: 65_535 }),
  nconnect: integer('nconnect', { min: 1, max: 16 }),
  actimeo: integer('actimeo', { min: 0, max: 86_400 }),
  noac: flag('noac'),
  noresvport: flag('noresvport'),
  sec: choice('sec', ['sys', 'krb5', 'krb5i', 'krb5p', 'none']),
  type: text('type', { pattern: /^nfs4?$/, expected: 'nfs or nfs4' }),
  device: text('device', { pattern: /^(\[[^\]]*\]|[^:]*):\/[^\0]*$/, expected: 'SERVER:/path or :/path' }),
  mountOptions: text(['o', 'options'], { empty: true }),
} as const;

export interface NfsConfig extends CommonConfig {
  /** Names or addresses, in the order of preference. */
  readonly servers: readonly string[];
  readonly export: string;
  readonly version: NfsVersion | undefined;
  readonly subdir: readonly string[] | undefined;
  readonly create: boolean;
  readonly port: number | undefined;
  /** TCP can be asked whether anybody is there before the kernel is. */
  readonly probable: boolean;
  /** For mount(2), without address and version. */
  readonly options: string;
  /** The same for volumes that share one mount: everything above but the sub-folder. */
  readonly exportKey: string;
}

export function parseNfsOptions(given: Readonly<Record<string, string>>): NfsConfig {
  const parsed = parseOptions(schema, given, { driver });
  const fromO = parseMountOptions(parsed.mountOptions ?? '');
  const [deviceServer, deviceExport] = splitDevice(parsed.device);
  const servers =
    parsed.server.length > 0
      ? parsed.server
      : [findMountOption(fromO, 'addr') ?? deviceServer].filter((name) => name !== undefined);
  const path = parsed.export ?? deviceExport;
  if (servers.length === 0) throw refuse('no server is given', 'give server=NAME, or o=addr=ADDRESS');
  if (path === undefined) throw refuse('no export is given', 'give export=/path, or device=:/path');
  if (parsed.soft && parsed.hard)
    throw refuse('soft and hard exclude each other', 'hard never loses a write, soft gives up after retrans');
  const version = findVersion(parsed.version, fromO, parsed.type);
  const options = formatMountOptions([...typedOptions(parsed), ...withoutMountOptions(fromO, ...handled)]);
  const normalized = path.replaceAll(/\/+/g, '/').replace(/(?<=.)\/$/, '');
  const proto = parsed.proto ?? findMountOption(fromO, 'proto') ?? 'tcp';
  const port = parsed.port ?? (Number(findMountOption(fromO, 'port')) || undefined);
  const { subdir, create, uid, gid, mode, recursive, readOnly, onChange, mountTimeoutMs, label, labels } = parsed;
  return {
    ...{
      uid,
      gid,
      mode,
      recursive,
      readOnly,
      onChange,
      mountTimeoutMs,
      label,
      labels,
      subdir,
      create,
      servers,
      version,
      options,
      port,
    },
    export: normalized,
    probable: proto.startsWith('tcp'),
    exportKey: createHash('sha256')
      .update(JSON.stringify([servers, normalized, version, options]))
      .digest('hex')
      .slice(0, 16),
  };
}

/** Options that have the kernel's own names and meaning. */
const passedFlags = ['soft', 'hard', 'nolock', 'noac', 'noresvport'] as const;
const passedValues = [
  'timeo',
  'retrans',
  'rsize',
  'wsize',
  'proto',
  'port',
  'mountport',
  'nconnect',
  'actimeo',
  'sec',
] as const;

/** What `o=` says and is not passed on as it is. */
const handled = ['addr', 'vers', 'nfsvers', 'minorversion', 'clientaddr', 'bg', 'fg', 'retry', '_netdev'];

type Passed = Readonly<Record<(typeof passedFlags)[number], boolean | undefined>> &
  Readonly<Record<(typeof passedValues)[number], string | number | undefined>>;

function typedOptions(parsed: Passed): readonly MountOption[] {
  const flags = passedFlags.filter((name) => parsed[name]);
  const values = passedValues.filter((name) => parsed[name] !== undefined);
  return [
    ...flags.map((name) => ({ name, value: undefined })),
    ...values.map((name) => ({ name, value: String(parsed[name]) })),
  ];
}

function findVersion(
  typed: string | undefined,
  fromO: readonly MountOption[],
  type: string | undefined,
): NfsVersion | undefined {
  const text = typed ?? findMountOption(fromO, 'vers') ?? findMountOption(fromO, 'nfsvers');
  const minor = findMountOption(fromO, 'minorversion');
  if (text === undefined && type !== 'nfs4' && minor === undefined) return undefined;
  const newest = minor === undefined ? '4.2' : `4.${minor}`;
  const wanted = text === undefined || text === '4' ? newest : text;
  const version = nfsVersions.find((candidate) => candidate === wanted);
  if (version === undefined) throw refuse(`NFS version ${wanted} is not known`, `use ${nfsVersions.join(', ')}`);
  return version;
}

function splitDevice(device: string | undefined): readonly [server: string | undefined, path: string | undefined] {
  if (device === undefined) return [undefined, undefined];
  const split = device.startsWith('[') ? device.indexOf(']:') + 1 : device.indexOf(':');
  const server = device.slice(0, split).replaceAll(/^\[|\]$/g, '');
  return [server === '' ? undefined : server, device.slice(split + 1)];
}

function refuse(message: string, hint: string): PluginError {
  return new PluginError('PROTO_OPTION', `${driver}: ${message}`, { hint });
}
