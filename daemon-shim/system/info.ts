/** `docker info`: the engine and its host, with the fields that Engine API 1.51 has and older clients read. */
import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, hostname, machine, release, totalmem } from 'node:os';
import { readVersion } from '../../plugins/sdk/version.ts';
import type { Engine } from '../engine.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { cgroupFeatures, cgroupWarnings } from './cgroup.ts';
import { engineId } from './engine-id.ts';
import { runtimeVersion } from './runtime-version.ts';

/** `version` is `major * 1000 + minor`. */
export async function systemInfo(engine: Engine, version: number): Promise<object> {
  const { config } = engine;
  const containers = engine.containers.list();
  const count = (status: string) => containers.filter(({ state }) => state.status === status).length;
  const cgroup = cgroupFeatures();
  const running = count('running');
  const paused = count('paused');
  return {
    ID: engineId(config.dataRoot),
    Containers: containers.length,
    ContainersRunning: running,
    ContainersPaused: paused,
    ContainersStopped: containers.length - running - paused,
    Images: engine.images.list().length,
    Driver: 'overlay2',
    DriverStatus: [
      ['Backing Filesystem', fileSystemName(config.dataRoot)],
      ['Supports d_type', 'true'],
      ['Using metacopy', 'false'],
      ['Native Overlay Diff', 'true'],
      ['userxattr', 'false'],
    ],
    Plugins: await shownPlugins(engine),
    MemoryLimit: cgroup.memory,
    SwapLimit: cgroup.swap,
    ...(version < 1042 ? { KernelMemory: false } : {}),
    KernelMemoryTCP: cgroup.kernelMemoryTcp,
    CpuCfsPeriod: cgroup.cfsPeriod,
    CpuCfsQuota: cgroup.cfsQuota,
    CPUShares: cgroup.shares,
    CPUSet: cgroup.cpuset,
    PidsLimit: cgroup.pids,
    IPv4Forwarding: isOn('net/ipv4/ip_forward'),
    ...(version < 1050
      ? {
          BridgeNfIptables: isOn('net/bridge/bridge-nf-call-iptables'),
          BridgeNfIp6tables: isOn('net/bridge/bridge-nf-call-ip6tables'),
        }
      : {}),
    Debug: config.debug,
    NFd: readdirSync('/proc/self/fd').length,
    OomKillDisable: cgroup.oomKillDisable,
    NGoroutines: 1,
    SystemTime: formatTimestamp(now()),
    LoggingDriver: config.logDriver,
    CgroupDriver: 'cgroupfs',
    CgroupVersion: cgroup.version,
    NEventsListener: engine.events.listenerCount,
    KernelVersion: release(),
    OperatingSystem: operatingSystem(),
    OSVersion: osRelease('VERSION_ID'),
    OSType: 'linux',
    Architecture: machine(),
    IndexServerAddress: '',
    RegistryConfig: { IndexConfigs: {}, InsecureRegistryCIDRs: [], Mirrors: null },
    NCPU: availableParallelism(),
    MemTotal: totalmem(),
    GenericResources: null,
    DockerRootDir: config.dataRoot,
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Name: hostname(),
    Labels: config.labels,
    ExperimentalBuild: false,
    ServerVersion: readVersion(),
    Runtimes: Object.fromEntries([...engine.runtimes.values()].map(({ name, path }) => [name, { path }])),
    DefaultRuntime: config.defaultRuntime,
    Swarm: {
      NodeID: '',
      NodeAddr: '',
      LocalNodeState: 'inactive',
      ControlAvailable: false,
      Error: '',
      RemoteManagers: null,
    },
    LiveRestoreEnabled: config.liveRestore,
    Isolation: '',
    InitBinary: config.initPath ?? 'docker-init',
    ContainerdCommit: { ID: '' },
    RuncCommit: { ID: (await runtimeVersion(engine))?.version ?? '' },
    InitCommit: { ID: '' },
    SecurityOptions: [
      ...(config.seccompProfile === 'unconfined' ? [] : [`name=seccomp,profile=${config.seccompProfile}`]),
      ...(config.noNewPrivileges ? ['name=no-new-privileges'] : []),
      ...(cgroup.version === '2' ? ['name=cgroupns'] : []),
    ],
    ...(config.defaultAddressPools.length > 0
      ? { DefaultAddressPools: config.defaultAddressPools.map(({ base, size }) => ({ Base: base, Size: size })) }
      : {}),
    CDISpecDirs: [],
    Warnings: emptyAsNull([...cgroupWarnings(cgroup), ...hostWarnings(engine)]),
  };
}

async function shownPlugins(engine: Engine): Promise<object> {
  const found = await engine.plugins.found();
  const names = (kind: string) => found.filter(({ kinds }) => kinds.includes(kind as never)).map(({ name }) => name);
  return {
    Volume: names('volume'),
    Network: ['host', 'null', ...names('network')].sort(),
    Authorization: null,
    Log: [...names('log'), 'none'].sort(),
  };
}

/** An API that anybody on the network can use. */
function hostWarnings({ config }: Engine): string[] {
  const open = config.hosts.filter((host) => host.startsWith('tcp://') && !config.tls?.verify);
  return open.map(
    (host) =>
      `WARNING: API is accessible on ${host.replace(/^tcp/, config.tls === undefined ? 'http' : 'https')} without ${config.tls === undefined ? 'encryption' : 'client verification'}: it is equivalent to root access on the host`,
  );
}

function isOn(sysctl: string): boolean {
  const path = `/proc/sys/${sysctl}`;
  return existsSync(path) && readFileSync(path, 'utf8').trim() === '1';
}

function operatingSystem(): string {
  const name = osRelease('PRETTY_NAME') || 'Linux';
  return existsSync('/.dockerenv') || existsSync('/run/.containerenv') ? `${name} (containerized)` : name;
}

function osRelease(field: string): string {
  try {
    const line = new RegExp(`^${field}=(.*)$`, 'm').exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
    return line.replace(/^"(.*)"$/, '$1');
  } catch {
    return '';
  }
}

/** Names by the magic numbers of statfs(2), as dockerd shows them. */
function fileSystemName(path: string): string {
  const names: Readonly<Record<number, string>> = {
    61267: 'extfs',
    1481003842: 'xfs',
    2435016766: 'btrfs',
    16914836: 'tmpfs',
    2035054128: 'overlayfs',
    801189825: 'zfs',
    26985: 'nfs',
  };
  return names[statfsSync(path).type] ?? 'unknown';
}

function emptyAsNull(list: readonly string[]): readonly string[] | null {
  return list.length > 0 ? list : null;
}
