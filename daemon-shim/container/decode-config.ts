/**
 * The body of `POST /containers/create`, checked once: every field that the shim reads has its type after this, missing ones
 * their default. Fields that are not read stay as they came and are shown by inspect.
 */
import { badRequest } from '../api/api-error.ts';
import { asObject, type Body } from '../api/fields.ts';
import type { ContainerConfig, HostConfig } from './record.ts';

type Kind = 'string' | 'boolean' | 'number' | 'strings' | 'map' | 'objects' | 'object';

const configKinds: Readonly<Record<string, Kind>> = {
  Hostname: 'string',
  Domainname: 'string',
  User: 'string',
  AttachStdin: 'boolean',
  AttachStdout: 'boolean',
  AttachStderr: 'boolean',
  Tty: 'boolean',
  OpenStdin: 'boolean',
  StdinOnce: 'boolean',
  Env: 'strings',
  Cmd: 'strings',
  Entrypoint: 'strings',
  Image: 'string',
  WorkingDir: 'string',
  Labels: 'map',
  ExposedPorts: 'object',
  Volumes: 'object',
  StopSignal: 'string',
  StopTimeout: 'number',
  Healthcheck: 'object',
  Shell: 'strings',
  OnBuild: 'strings',
};

/** What `update` may change, too. */
export const limitKinds: Readonly<Record<string, Kind>> = {
  RestartPolicy: 'object',
  Memory: 'number',
  MemorySwap: 'number',
  MemoryReservation: 'number',
  MemorySwappiness: 'number',
  OomKillDisable: 'boolean',
  NanoCpus: 'number',
  CpuShares: 'number',
  CpuPeriod: 'number',
  CpuQuota: 'number',
  CpusetCpus: 'string',
  CpusetMems: 'string',
  PidsLimit: 'number',
  BlkioWeight: 'number',
};

const hostConfigKinds: Readonly<Record<string, Kind>> = {
  ...limitKinds,
  Binds: 'strings',
  Mounts: 'objects',
  NetworkMode: 'string',
  PortBindings: 'object',
  PublishAllPorts: 'boolean',
  AutoRemove: 'boolean',
  VolumeDriver: 'string',
  VolumesFrom: 'strings',
  LogConfig: 'object',
  CapAdd: 'strings',
  CapDrop: 'strings',
  Dns: 'strings',
  DnsOptions: 'strings',
  DnsSearch: 'strings',
  ExtraHosts: 'strings',
  GroupAdd: 'strings',
  IpcMode: 'string',
  PidMode: 'string',
  UTSMode: 'string',
  CgroupnsMode: 'string',
  Links: 'strings',
  OomScoreAdj: 'number',
  Privileged: 'boolean',
  ReadonlyRootfs: 'boolean',
  SecurityOpt: 'strings',
  Tmpfs: 'map',
  ShmSize: 'number',
  Sysctls: 'map',
  Runtime: 'string',
  Init: 'boolean',
  CgroupParent: 'string',
  BlkioWeightDevice: 'objects',
  BlkioDeviceReadBps: 'objects',
  BlkioDeviceWriteBps: 'objects',
  BlkioDeviceReadIOps: 'objects',
  BlkioDeviceWriteIOps: 'objects',
  UsernsMode: 'string',
  Isolation: 'string',
  StorageOpt: 'map',
  CpuRealtimePeriod: 'number',
  CpuRealtimeRuntime: 'number',
  DeviceRequests: 'objects',
  Devices: 'objects',
  DeviceCgroupRules: 'strings',
  Ulimits: 'objects',
  MaskedPaths: 'strings',
  ReadonlyPaths: 'strings',
  Annotations: 'map',
};

const emptyConfig: ContainerConfig = {
  Hostname: '',
  Domainname: '',
  User: '',
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: [],
  Cmd: null,
  Entrypoint: null,
  Image: '',
  WorkingDir: '',
  Labels: {},
};

const emptyHostConfig: HostConfig = {
  Binds: null,
  NetworkMode: 'default',
  PortBindings: {},
  PublishAllPorts: false,
  RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
  AutoRemove: false,
  VolumeDriver: '',
  VolumesFrom: null,
  LogConfig: { Type: '', Config: {} },
  CapAdd: null,
  CapDrop: null,
  Dns: [],
  DnsOptions: [],
  DnsSearch: [],
  ExtraHosts: null,
  GroupAdd: null,
  IpcMode: '',
  PidMode: '',
  UTSMode: '',
  CgroupnsMode: '',
  Links: null,
  OomScoreAdj: 0,
  Privileged: false,
  ReadonlyRootfs: false,
  SecurityOpt: null,
  ShmSize: 0,
  Runtime: '',
  Memory: 0,
  MemorySwap: 0,
  MemoryReservation: 0,
  NanoCpus: 0,
  CpuShares: 0,
  CpuPeriod: 0,
  CpuQuota: 0,
  CpusetCpus: '',
  CpusetMems: '',
  BlkioWeight: 0,
  CgroupParent: '',
  Devices: null,
  DeviceCgroupRules: null,
  Ulimits: null,
};

export function decodeContainerConfig(body: unknown): ContainerConfig {
  const given = checkKinds(asObject(body, 'body'), configKinds);
  const health = checkKinds(asObject(given['Healthcheck'] ?? {}, 'Healthcheck'), {
    Test: 'strings',
    Interval: 'number',
    Timeout: 'number',
    StartPeriod: 'number',
    StartInterval: 'number',
    Retries: 'number',
  });
  const { HostConfig: _host, NetworkingConfig: _networking, ...config } = given;
  return {
    ...emptyConfig,
    ...dropNull(config),
    ...(given['Healthcheck'] ? { Healthcheck: dropNull(health) } : {}),
  } as ContainerConfig;
}

export function decodeHostConfig(body: unknown): HostConfig {
  const given = checkKinds(asObject(asObject(body, 'body')['HostConfig'] ?? {}, 'HostConfig'), hostConfigKinds);
  for (const [name, kinds] of Object.entries(innerKinds)) {
    const value = given[name];
    for (const item of Array.isArray(value) ? value : [value ?? {}]) checkKinds(asObject(item, name), kinds);
  }
  for (const [port, bindings] of Object.entries((given['PortBindings'] ?? {}) as object))
    checkPortBindings(port, bindings);
  const { RestartPolicy, LogConfig } = given;
  return {
    ...emptyHostConfig,
    ...dropNull(given),
    RestartPolicy: { ...emptyHostConfig.RestartPolicy, ...dropNull((RestartPolicy ?? {}) as Body) },
    LogConfig: { ...emptyHostConfig.LogConfig, ...dropNull((LogConfig ?? {}) as Body) },
  } as HostConfig;
}

/** Fields of the objects inside. */
const innerKinds: Readonly<Record<string, Readonly<Record<string, Kind>>>> = {
  RestartPolicy: { Name: 'string', MaximumRetryCount: 'number' },
  LogConfig: { Type: 'string', Config: 'map' },
  Ulimits: { Name: 'string', Soft: 'number', Hard: 'number' },
  Devices: { PathOnHost: 'string', PathInContainer: 'string', CgroupPermissions: 'string' },
  Mounts: {
    Type: 'string',
    Source: 'string',
    Target: 'string',
    ReadOnly: 'boolean',
    BindOptions: 'object',
    VolumeOptions: 'object',
    TmpfsOptions: 'object',
  },
  BlkioWeightDevice: { Path: 'string', Weight: 'number' },
  BlkioDeviceReadBps: { Path: 'string', Rate: 'number' },
  BlkioDeviceWriteBps: { Path: 'string', Rate: 'number' },
  BlkioDeviceReadIOps: { Path: 'string', Rate: 'number' },
  BlkioDeviceWriteIOps: { Path: 'string', Rate: 'number' },
};

function checkPortBindings(port: string, bindings: unknown): void {
  if (bindings === null) return;
  if (!Array.isArray(bindings)) throw badRequest(`invalid JSON: PortBindings of ${port} must be a list`);
  for (const binding of bindings)
    checkKinds(asObject(binding, `PortBindings of ${port}`), { HostIp: 'string', HostPort: 'string' });
}

export function checkKinds(
  given: Readonly<Record<string, unknown>>,
  kinds: Readonly<Record<string, Kind>>,
): Readonly<Record<string, unknown>> {
  for (const [name, kind] of Object.entries(kinds)) {
    const value = given[name];
    if (value !== undefined && value !== null && !matches(value, kind)) {
      throw badRequest(`invalid JSON: field ${name} must be ${describe[kind]}`);
    }
  }
  return given;
}

const describe: Readonly<Record<Kind, string>> = {
  string: 'a string',
  boolean: 'a boolean',
  number: 'a number',
  strings: 'a list of strings',
  map: 'an object of strings',
  objects: 'a list of objects',
  object: 'an object',
};

function matches(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case 'string':
    case 'boolean':
      return typeof value === kind;
    case 'number':
      // As Docker's decoder: whole numbers of 64 bits.
      return Number.isInteger(value) && Math.abs(value as number) <= 2 ** 63;
    case 'strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
    case 'objects':
      return Array.isArray(value) && value.every((item) => typeof item === 'object' && item !== null);
    case 'object':
      return typeof value === 'object' && !Array.isArray(value);
    case 'map':
      return (
        typeof value === 'object' &&
        !Array.isArray(value) &&
        Object.values(value as object).every((item) => typeof item === 'string')
      );
  }
}

/** null is a missing field, except where it has a meaning of its own (Cmd, Entrypoint), which is the default anyway. */
function dropNull(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null && value !== undefined));
}
