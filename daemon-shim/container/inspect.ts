/** `docker inspect` of a container, field by field as Engine API 1.51 has it. */
import { join } from 'node:path';
import { dockerLogName } from '../config/log-drivers.ts';
import type { Engine } from '../engine.ts';
import { sandboxKey } from '../sandbox/sandbox.ts';
import { containerFolder } from './folder.ts';
import {
  type ContainerConfig,
  type ContainerRecord,
  type EndpointRecord,
  type HostConfig,
  type MountRecord,
  never,
} from './record.ts';
import type { Container } from './registry.ts';

export function inspectContainer(engine: Engine, container: Container): object {
  const { record } = container;
  const folder = containerFolder(engine.config, record.id);
  return {
    Id: record.id,
    Created: record.created,
    Path: record.path,
    Args: record.args,
    State: inspectState(record),
    Image: record.imageId,
    ResolvConfPath: join(folder.data, 'resolv.conf'),
    HostnamePath: join(folder.data, 'hostname'),
    HostsPath: join(folder.data, 'hosts'),
    LogPath: '',
    Name: `/${record.name}`,
    RestartCount: record.state.restartCount,
    Driver: 'overlay2',
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: execIds(container),
    HostConfig: inspectHostConfig(record.hostConfig),
    GraphDriver: {
      Data: { ID: record.id, MergedDir: folder.merged, UpperDir: folder.upper, WorkDir: folder.work },
      Name: 'overlay2',
    },
    Mounts: record.mounts.map(inspectMount),
    Config: inspectConfig(record.config),
    NetworkSettings: inspectNetworks(record, sandboxKey(engine.config, record.id)),
  };
}

function inspectHostConfig(config: HostConfig): object {
  return { ...config, LogConfig: { ...config.LogConfig, Type: dockerLogName(config.LogConfig.Type) } };
}

/** What is empty is null, as Go shows it. */
function inspectConfig(config: ContainerConfig): object {
  const hasVolumes = Object.keys(config.Volumes ?? {}).length > 0;
  return { ...config, Env: config.Env.length === 0 ? null : config.Env, Volumes: hasVolumes ? config.Volumes : null };
}

/** Those that have not ended; null when there are none. */
function execIds(container: Container): string[] | null {
  const ids = [...container.execs.values()].filter(({ status }) => status !== 'exited').map(({ id }) => id);
  return ids.length === 0 ? null : ids;
}

function inspectState({ state }: ContainerRecord): object {
  return {
    Status: state.status,
    Running: ['running', 'paused', 'restarting'].includes(state.status),
    Paused: state.status === 'paused',
    Restarting: state.status === 'restarting',
    OOMKilled: state.oomKilled,
    Dead: state.status === 'dead',
    Pid: state.pid,
    ExitCode: state.exitCode,
    Error: state.error,
    StartedAt: state.startedAt,
    FinishedAt: state.finishedAt,
    ...(state.health === undefined ? {} : { Health: state.health }),
  };
}

export function inspectMount(mount: MountRecord): object {
  return {
    Type: mount.type,
    ...(mount.name === undefined ? {} : { Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.driver === undefined ? {} : { Driver: mount.driver }),
    Mode: mount.mode,
    RW: mount.rw,
    Propagation: mount.propagation,
  };
}

function inspectNetworks(record: ContainerRecord, key: string): object {
  const networks = Object.entries(record.endpoints).filter(([, endpoint]) => !endpoint.hidden);
  const bridge = record.endpoints['bridge'];
  return {
    Bridge: '',
    SandboxID: record.state.pid > 0 ? record.id : '',
    SandboxKey: record.state.pid > 0 ? key : '',
    Ports: record.ports,
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    ...topLevelAddresses(bridge),
    Networks: Object.fromEntries(networks.map(([name, endpoint]) => [name, inspectEndpoint(endpoint)])),
  };
}

/** Fields from the days of one network: they show the default bridge's. */
function topLevelAddresses(bridge: EndpointRecord | undefined): object {
  const { address, prefix } = splitCidr(bridge?.address);
  const v6 = splitCidr(bridge?.addressIPv6);
  return {
    EndpointID: bridge?.address === undefined ? '' : bridge.endpointId,
    Gateway: bridge?.gateway ?? '',
    GlobalIPv6Address: v6.address,
    GlobalIPv6PrefixLen: v6.prefix,
    IPAddress: address,
    IPPrefixLen: prefix,
    IPv6Gateway: bridge?.gatewayIPv6 ?? '',
    MacAddress: bridge?.macAddress ?? '',
  };
}

export function inspectEndpoint(endpoint: EndpointRecord): object {
  const { config } = endpoint;
  const v4 = splitCidr(endpoint.address);
  const v6 = splitCidr(endpoint.addressIPv6);
  return {
    IPAMConfig: config.IPAMConfig ?? null,
    Links: config.Links ?? null,
    Aliases: config.Aliases ?? null,
    MacAddress: endpoint.macAddress ?? config.MacAddress ?? '',
    DriverOpts: config.DriverOpts ?? null,
    GwPriority: config.GwPriority ?? 0,
    NetworkID: endpoint.networkId,
    EndpointID: endpoint.address === undefined && endpoint.addressIPv6 === undefined ? '' : endpoint.endpointId,
    Gateway: endpoint.gateway ?? '',
    IPAddress: v4.address,
    IPPrefixLen: v4.prefix,
    IPv6Gateway: endpoint.gatewayIPv6 ?? '',
    GlobalIPv6Address: v6.address,
    GlobalIPv6PrefixLen: v6.prefix,
    // There are names on the default network here; Docker has none, and shows none.
    DNSNames: endpoint.dnsNames.length > 0 && endpoint.networkName !== 'bridge' ? endpoint.dnsNames : null,
  };
}

function splitCidr(cidr: string | undefined): { address: string; prefix: number } {
  const [address = '', prefix = '0'] = (cidr ?? '').split('/');
  return { address, prefix: Number(prefix) };
}

/** Seconds of the API's lists; 0 for never. */
export function unixSeconds(timestamp: string): number {
  return timestamp === never ? 0 : Math.floor(Date.parse(timestamp) / 1000);
}
