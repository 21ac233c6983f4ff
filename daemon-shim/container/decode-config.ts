/**
 * The body of `POST /containers/create`, checked once: every field that the shim reads has its type after this, missing ones
 * their default. Fields that are not read stay as they came and are shown by inspect.
 */
import { badRequest } from '../api/api-error.ts';
import { asObject } from '../api/fields.ts';
import type { ContainerConfig, HostConfig } from './record.ts';

type Kind = 'string' | 'boolean' | 'number' | 'strings' | 'map' | 'list' | 'object';

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

const hostConfigKinds: Readonly<Record<string, Kind>> = {
  Binds: 'strings',
  Mounts: 'list',
  NetworkMode: 'string',
  PortBindings: 'object',
  PublishAllPorts: 'boolean',
  RestartPolicy: 'object',
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
  CgroupParent: 'string',
  Devices: 'list',
  DeviceCgroupRules: 'strings',
  Ulimits: 'list',
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
  const { HostConfig: _host, NetworkingConfig: _networking, ...config } = given;
  return { ...emptyConfig, ...dropNull(config) } as ContainerConfig;
}

export function decodeHostConfig(body: unknown): HostConfig {
  const given = checkKinds(asObject(asObject(body, 'body')['HostConfig'] ?? {}, 'HostConfig'), hostConfigKinds);
  return { ...emptyHostConfig, ...dropNull(given) } as HostConfig;
}

function checkKinds(
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
  list: 'a list',
  object: 'an object',
};

function matches(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case 'string':
    case 'boolean':
    case 'number':
      return typeof value === kind;
    case 'strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
    case 'list':
      return Array.isArray(value);
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
