/** What Docker checks when a container is made or updated, in its words; each function throws its 400 or returns warnings. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { badRequest, notSupported } from '../api/api-error.ts';
import { blockWeightIsThere, isUnifiedCgroup, swapIsCounted } from '../runtime/resources.ts';
import type { ContainerConfig, HealthConfig, HostConfig } from './record.ts';
import { parseSignal } from './signal.ts';

const minMemoryBytes = 6 << 20;
const millisecondNano = 1_000_000;

export function checkConfig(config: ContainerConfig, hostConfig: HostConfig): string[] {
  checkHealth(config.Healthcheck);
  if (config.StopSignal) parseSignal(config.StopSignal);
  if (config.WorkingDir !== '' && !config.WorkingDir.startsWith('/'))
    throw badRequest(`the working directory '${config.WorkingDir}' is invalid, it needs to be an absolute path`);
  for (const variable of config.Env) {
    if (variable === '' || variable.startsWith('=')) throw badRequest(`invalid environment variable: ${variable}`);
  }
  checkModes(config, hostConfig);
  checkRestartPolicy(hostConfig);
  if (hostConfig.AutoRemove && !['', 'no'].includes(hostConfig.RestartPolicy.Name))
    throw badRequest("can't create 'AutoRemove' container with restart policy");
  checkHosts(hostConfig);
  refuseUnsupported(hostConfig);
  if (hostConfig.OomScoreAdj < -1000 || hostConfig.OomScoreAdj > 1000)
    throw badRequest(`Invalid value ${hostConfig.OomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  if (hostConfig.ShmSize < 0) throw badRequest('SHM size can not be less than 0');
  const discarded = hostConfig.NetworkMode === 'host' && Object.keys(hostConfig.PortBindings).length > 0;
  return [
    ...(discarded ? ['Published ports are discarded when using host network mode'] : []),
    ...checkLimits(hostConfig),
  ];
}

function checkHealth(health: HealthConfig | undefined): void {
  if (health === undefined) return;
  const durations = {
    Interval: health.Interval,
    Timeout: health.Timeout,
    StartPeriod: health.StartPeriod,
    StartInterval: health.StartInterval,
  };
  for (const [name, value] of Object.entries(durations)) {
    if (value !== undefined && value !== 0 && value < millisecondNano)
      throw badRequest(`${name} in Healthcheck cannot be less than 1ms`);
  }
  if ((health.Retries ?? 0) < 0) throw badRequest('Retries in Healthcheck cannot be negative');
  const [word] = health.Test ?? [];
  if (word !== undefined && !['', 'NONE', 'CMD', 'CMD-SHELL'].includes(word))
    throw badRequest(`Unknown healthcheck type '${word}' (expected 'CMD')`);
}

export function checkRestartPolicy({ RestartPolicy }: HostConfig): void {
  const { Name: name, MaximumRetryCount: most = 0 } = RestartPolicy;
  if (!['', 'no', 'always', 'on-failure', 'unless-stopped'].includes(name))
    throw badRequest(
      `invalid restart policy: unknown policy '${name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
    );
  if (name !== 'on-failure' && most !== 0)
    throw badRequest(
      `invalid restart policy: maximum retry count can only be used with 'on-failure'${most < 0 ? ' and cannot be negative' : ''}`,
    );
  if (most < 0) throw badRequest('invalid restart policy: maximum retry count cannot be negative');
}

function checkModes(config: ContainerConfig, hostConfig: HostConfig): void {
  const { NetworkMode, PidMode, IpcMode, UTSMode, CgroupnsMode, UsernsMode = '' } = hostConfig;
  const joins = (mode: string) => /^container:./.test(mode);
  if (!['', 'host'].includes(PidMode) && !joins(PidMode)) throw badRequest(`invalid PID mode: ${PidMode}`);
  if (!['', 'none', 'private', 'shareable', 'host'].includes(IpcMode) && !joins(IpcMode))
    throw badRequest(`invalid IPC mode: ${IpcMode}`);
  if (!['', 'host'].includes(UTSMode)) throw badRequest(`invalid UTS mode: ${UTSMode}`);
  if (!['', 'host', 'private'].includes(CgroupnsMode))
    throw badRequest(`invalid cgroup namespace mode: ${CgroupnsMode}`);
  if (CgroupnsMode === 'private' && hostConfig.Privileged && !isUnifiedCgroup()) return;
  if (!['', 'host'].includes(UsernsMode)) throw badRequest('invalid USER mode');
  if (UTSMode === 'host' && config.Hostname !== '') throw badRequest('conflicting options: hostname and the UTS mode');
  if (joins(NetworkMode)) checkSharedNetwork(config, hostConfig);
  if (NetworkMode === 'host' && (hostConfig.Links ?? []).length > 0)
    throw badRequest(
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    );
}

/** `--network container:X` has X's names, ports and addresses, and none of its own. */
function checkSharedNetwork(config: ContainerConfig, hostConfig: HostConfig): void {
  const conflicts: readonly (readonly [boolean, string])[] = [
    [
      (hostConfig.Links ?? []).length > 0,
      "container type network can't be used with links. This would result in undefined behavior",
    ],
    [config.Hostname !== '', 'hostname and the network mode'],
    [hostConfig.Dns.length > 0, 'dns and the network mode'],
    [(hostConfig.ExtraHosts ?? []).length > 0, 'custom host-to-IP mapping and the network mode'],
    [
      Object.keys(hostConfig.PortBindings).length > 0 || hostConfig.PublishAllPorts,
      'port publishing and the container type network mode',
    ],
    [Object.keys(config.ExposedPorts ?? {}).length > 0, 'port exposing and the container type network mode'],
  ];
  const found = conflicts.find(([holds]) => holds);
  if (found !== undefined) throw badRequest(`conflicting options: ${found[1]}`);
}

function checkHosts({ ExtraHosts, Dns }: HostConfig): void {
  for (const entry of ExtraHosts ?? []) {
    if (!/^[^:=]+[:=].+$/.test(entry))
      throw badRequest(`invalid extra host: ${JSON.stringify(entry)}: bad format for add-host: "${entry}"`);
  }
  for (const server of Dns) {
    if (!/^[0-9a-fA-F:.]+(%\S+)?$/.test(server)) throw badRequest(`invalid DNS server address: ${server}`);
  }
}

/** What the API has a field for and the shim no means: said, not ignored. */
function refuseUnsupported(hostConfig: HostConfig): void {
  const { Isolation = '', StorageOpt, CpuRealtimePeriod = 0, CpuRealtimeRuntime = 0, DeviceRequests } = hostConfig;
  if (!['', 'default'].includes(Isolation))
    throw badRequest(`invalid isolation (${Isolation}): linux only supports 'default'`);
  if (Object.keys(StorageOpt ?? {}).length > 0)
    throw badRequest(
      "--storage-opt is not supported: a container's own layer has no size limit; use a volume with a size",
    );
  if (CpuRealtimePeriod !== 0 || CpuRealtimeRuntime !== 0)
    throw badRequest(
      'Your kernel does not support CPU real-time scheduler: cleat does not set real-time limits; use --cpus',
    );
  const [request] = DeviceRequests ?? [];
  if (request !== undefined) {
    const wanted = JSON.stringify(request.Capabilities ?? [])
      .replaceAll(/["]/g, '')
      .replaceAll(',', ' ');
    throw notSupported(
      `could not select device driver "${request.Driver ?? ''}" with capabilities: ${wanted}; name the devices with --device`,
    );
  }
}

export function checkLimits(config: HostConfig): string[] {
  return [...checkMemory(config), ...checkCpu(config), ...checkRest(config)];
}

function checkMemory(config: HostConfig): string[] {
  const { Memory, MemorySwap, MemoryReservation, MemorySwappiness, OomKillDisable } = config;
  const warnings: string[] = [];
  if (Memory !== 0 && Memory < minMemoryBytes) throw badRequest('Minimum memory limit allowed is 6MB');
  if (Memory > 0 && MemorySwap > 0 && MemorySwap < Memory)
    throw badRequest('Minimum memoryswap limit should be larger than memory limit, see usage');
  if (Memory === 0 && MemorySwap > 0)
    throw badRequest('You should always set the Memory limit when using Memoryswap limit, see usage');
  if (Memory > 0 && !swapIsCounted())
    warnings.push(
      'Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.',
    );
  const swappiness = MemorySwappiness ?? -1;
  if (swappiness < -1 || swappiness > 100)
    throw badRequest(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  if (swappiness >= 0 && isUnifiedCgroup())
    warnings.push(
      'Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.',
    );
  if (MemoryReservation > 0 && MemoryReservation < minMemoryBytes)
    throw badRequest('Minimum memory reservation allowed is 6MB');
  if (Memory > 0 && MemoryReservation > 0 && Memory < MemoryReservation)
    throw badRequest('Minimum memory limit can not be less than memory reservation limit, see usage');
  if (OomKillDisable && isUnifiedCgroup())
    warnings.push('Your kernel does not support OomKillDisable. OomKillDisable discarded.');
  else if (OomKillDisable && Memory === 0)
    warnings.push(
      'OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.',
    );
  return warnings;
}

function checkCpu(config: HostConfig): string[] {
  const { NanoCpus, CpuPeriod, CpuQuota, CpuShares, CpusetCpus, CpusetMems } = config;
  const count = availableParallelism();
  if (NanoCpus > 0 && CpuPeriod > 0)
    throw badRequest('Conflicting options: Nano CPUs and CPU Period cannot both be set');
  if (NanoCpus > 0 && CpuQuota > 0) throw badRequest('Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  // 0.01 of a processor is what the kernel's smallest quota comes to.
  if (NanoCpus !== 0 && (NanoCpus < 10_000_000 || NanoCpus > count * 1e9))
    throw badRequest(`range of CPUs is from 0.01 to ${count}.00, as there are only ${count} CPUs available`);
  if (CpuShares < 0) throw badRequest(`invalid CPU shares (${CpuShares}): value must be a positive integer`);
  if (CpuPeriod !== 0 && (CpuPeriod < 1000 || CpuPeriod > 1_000_000))
    throw badRequest('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  if (CpuQuota > 0 && CpuQuota < 1000) throw badRequest('CPU cfs quota can not be less than 1ms (i.e. 1000)');
  checkSet(CpusetCpus, 'cpus', 'CPUs', () => readFileSync('/sys/devices/system/cpu/online', 'utf8').trim());
  checkSet(CpusetMems, 'mems', 'memory nodes', () => readMemoryNodes());
  return [];
}

function checkSet(text: string, word: string, what: string, available: () => string): void {
  if (text === '') return;
  const wanted = parseSet(text);
  if (wanted === undefined) throw badRequest(`Invalid value ${text} for cpuset ${word}: invalid format: ${text}`);
  const there = parseSet(available()) ?? new Set();
  if ([...wanted].some((number) => !there.has(number)))
    throw badRequest(`Requested ${what} are not available - requested ${text}, available: ${available()}`);
}

/** `0-2,4`; undefined for anything else. */
export function parseSet(text: string): Set<number> | undefined {
  const numbers = new Set<number>();
  for (const part of text.split(',')) {
    const [, first, last] = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(part.trim()) ?? [];
    if (first === undefined) return undefined;
    if (Number(last ?? first) < Number(first)) return undefined;
    for (let number = Number(first); number <= Number(last ?? first); number += 1) numbers.add(number);
  }
  return numbers;
}

function readMemoryNodes(): string {
  try {
    return readFileSync('/sys/devices/system/node/online', 'utf8').trim();
  } catch {
    return '0'; // a kernel without NUMA has one
  }
}

function checkRest({ BlkioWeight }: HostConfig): string[] {
  if (BlkioWeight > 0 && !blockWeightIsThere())
    return ['Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.'];
  if (BlkioWeight !== 0 && (BlkioWeight < 10 || BlkioWeight > 1000))
    throw badRequest('Range of blkio weight is from 10 to 1000');
  return [];
}
