/** Limits in the control group: from `HostConfig` to `linux.resources`. Source: OCI runtime-spec, config-linux.md, "Control groups". */
import { existsSync, statSync } from 'node:fs';
import { badRequest } from '../api/api-error.ts';
import type { HostConfig } from '../container/record.ts';
import { splitDevice } from './device.ts';

export type LimitConfig = Pick<
  HostConfig,
  | 'Memory'
  | 'MemorySwap'
  | 'MemoryReservation'
  | 'MemorySwappiness'
  | 'OomKillDisable'
  | 'NanoCpus'
  | 'CpuShares'
  | 'CpuPeriod'
  | 'CpuQuota'
  | 'CpusetCpus'
  | 'CpusetMems'
  | 'PidsLimit'
  | 'BlkioWeight'
  | 'BlkioWeightDevice'
  | 'BlkioDeviceReadBps'
  | 'BlkioDeviceWriteBps'
  | 'BlkioDeviceReadIOps'
  | 'BlkioDeviceWriteIOps'
>;

const cpuPeriodMicros = 100_000;

/** Whether the machine has control groups version 2 alone. */
export function isUnifiedCgroup(): boolean {
  return existsSync('/sys/fs/cgroup/cgroup.controllers');
}

/** Empty parts are left out: the runtime then leaves the kernel's default. */
export function planLimits(config: LimitConfig): object {
  const parts = { memory: memory(config), cpu: cpu(config), pids: pids(config), blockIO: blockIo(config) };
  return Object.fromEntries(Object.entries(parts).filter(([, part]) => Object.keys(part).length > 0));
}

function memory(config: LimitConfig): object {
  const { Memory, MemorySwap, MemoryReservation, MemorySwappiness, OomKillDisable } = config;
  const unified = isUnifiedCgroup();
  return given({
    limit: Memory > 0 ? Memory : undefined,
    // -1 is no limit; without a word Docker gives as much swap as memory.
    swap: Memory > 0 && swapIsCounted() ? (MemorySwap === 0 ? Memory * 2 : MemorySwap) : undefined,
    reservation: MemoryReservation > 0 ? MemoryReservation : undefined,
    swappiness: unified || (MemorySwappiness ?? -1) < 0 ? undefined : MemorySwappiness,
    disableOOMKiller: !unified && OomKillDisable ? true : undefined,
  });
}

function cpu(config: LimitConfig): object {
  const { NanoCpus, CpuShares, CpuPeriod, CpuQuota, CpusetCpus, CpusetMems } = config;
  const byNano = NanoCpus > 0;
  return given({
    shares: CpuShares > 0 ? CpuShares : undefined,
    period: byNano ? cpuPeriodMicros : CpuPeriod > 0 ? CpuPeriod : undefined,
    quota: byNano ? Math.floor((NanoCpus * cpuPeriodMicros) / 1e9) : CpuQuota !== 0 ? CpuQuota : undefined,
    cpus: CpusetCpus || undefined,
    mems: CpusetMems || undefined,
  });
}

function pids({ PidsLimit }: LimitConfig): object {
  return PidsLimit === undefined || PidsLimit === null || PidsLimit === 0 ? {} : { limit: Math.max(-1, PidsLimit) };
}

function blockIo(config: LimitConfig): object {
  const throttle = (list: LimitConfig['BlkioDeviceReadBps']) =>
    list && list.length > 0 ? list.map(({ Path, Rate }) => ({ ...deviceNumbers(Path), rate: Rate })) : undefined;
  const weights = config.BlkioWeightDevice ?? [];
  return given({
    weight: config.BlkioWeight > 0 && blockWeightIsThere() ? config.BlkioWeight : undefined,
    weightDevice:
      weights.length > 0 ? weights.map(({ Path, Weight }) => ({ ...deviceNumbers(Path), weight: Weight })) : undefined,
    throttleReadBpsDevice: throttle(config.BlkioDeviceReadBps),
    throttleWriteBpsDevice: throttle(config.BlkioDeviceWriteBps),
    throttleReadIOPSDevice: throttle(config.BlkioDeviceReadIOps),
    throttleWriteIOPSDevice: throttle(config.BlkioDeviceWriteIOps),
  });
}

function deviceNumbers(path: string): { major: number; minor: number } {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw badRequest(`stat ${path}: no such file or directory`);
  return splitDevice(stat.rdev);
}

/** Version 1 counts swap only where the kernel was told to (swapaccount=1). */
export function swapIsCounted(): boolean {
  return isUnifiedCgroup() || existsSync('/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes');
}

/** Version 1 has it with the CFQ or BFQ scheduler alone. */
export function blockWeightIsThere(): boolean {
  return (
    isUnifiedCgroup() || ['blkio.weight', 'blkio.bfq.weight'].some((name) => existsSync(`/sys/fs/cgroup/blkio/${name}`))
  );
}

function given(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
