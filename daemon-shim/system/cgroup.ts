/** What this host's control groups can limit, for `docker info` and its warnings. */
import { existsSync, readFileSync } from 'node:fs';

const root = '/sys/fs/cgroup';

export interface CgroupFeatures {
  readonly version: '1' | '2';
  readonly memory: boolean;
  readonly swap: boolean;
  readonly kernelMemoryTcp: boolean;
  readonly oomKillDisable: boolean;
  readonly cfsPeriod: boolean;
  readonly cfsQuota: boolean;
  readonly shares: boolean;
  readonly cpuset: boolean;
  readonly pids: boolean;
}

export function cgroupFeatures(): CgroupFeatures {
  if (!existsSync(`${root}/cgroup.controllers`)) return versionOne();
  const controllers = readFileSync(`${root}/cgroup.controllers`, 'utf8').trim().split(' ');
  const has = (name: string) => controllers.includes(name);
  return {
    version: '2',
    memory: has('memory'),
    swap: has('memory') && existsSync('/proc/swaps'),
    kernelMemoryTcp: false,
    oomKillDisable: false, // no such switch in version 2
    cfsPeriod: has('cpu'),
    cfsQuota: has('cpu'),
    shares: has('cpu'),
    cpuset: has('cpuset'),
    pids: has('pids'),
  };
}

function versionOne(): CgroupFeatures {
  const has = (path: string) => existsSync(`${root}/${path}`);
  return {
    version: '1',
    memory: has('memory/memory.limit_in_bytes'),
    swap: has('memory/memory.memsw.limit_in_bytes'),
    kernelMemoryTcp: has('memory/memory.kmem.tcp.limit_in_bytes'),
    oomKillDisable: has('memory/memory.oom_control'),
    cfsPeriod: has('cpu/cpu.cfs_period_us'),
    cfsQuota: has('cpu/cpu.cfs_quota_us'),
    shares: has('cpu/cpu.shares'),
    cpuset: has('cpuset/cpuset.cpus'),
    pids: has('pids'),
  };
}

/** dockerd's own words. */
export function cgroupWarnings(features: CgroupFeatures): string[] {
  return [
    ...(features.memory ? [] : ['WARNING: No memory limit support']),
    ...(features.swap ? [] : ['WARNING: No swap limit support']),
    ...(features.cfsPeriod ? [] : ['WARNING: No cpu cfs period support']),
    ...(features.cfsQuota ? [] : ['WARNING: No cpu cfs quota support']),
    ...(features.shares ? [] : ['WARNING: No cpu shares support']),
    ...(features.cpuset ? [] : ['WARNING: No cpuset support']),
    ...(features.pids ? [] : ['WARNING: No pids limit support']),
  ];
}
