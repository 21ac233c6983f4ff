/** What a container uses, read from its control groups (version 1 or 2) in the shape of the Engine API's `stats`. */
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { cgroupFolder, readCount, readOptional, readPairs } from './cgroup.ts';
import { isUnifiedCgroup } from './resources.ts';

const tickNano = 10_000_000; // USER_HZ is 100 on every architecture that Node runs on
const microNano = 1000;

export interface CpuUsage {
  readonly cpu_usage: {
    readonly total_usage: number;
    readonly percpu_usage?: readonly number[];
    readonly usage_in_kernelmode: number;
    readonly usage_in_usermode: number;
  };
  readonly system_cpu_usage?: number;
  readonly online_cpus?: number;
  readonly throttling_data: {
    readonly periods: number;
    readonly throttled_periods: number;
    readonly throttled_time: number;
  };
}

interface BlockEntry {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: number;
}

export const noCpuUsage: CpuUsage = {
  cpu_usage: { total_usage: 0, usage_in_kernelmode: 0, usage_in_usermode: 0 },
  throttling_data: { periods: 0, throttled_periods: 0, throttled_time: 0 },
};

export function cpuUsage(pid: number): CpuUsage {
  return { ...(isUnifiedCgroup() ? cpuOfUnified(pid) : cpuOfSplit(pid)), ...hostCpu() };
}

function cpuOfUnified(pid: number): CpuUsage {
  const stat = readPairs(join(cgroupFolder(pid, 'cpu') ?? '/nonexistent', 'cpu.stat'));
  const nano = (name: string) => (stat[name] ?? 0) * microNano;
  return {
    cpu_usage: {
      total_usage: nano('usage_usec'),
      usage_in_kernelmode: nano('system_usec'),
      usage_in_usermode: nano('user_usec'),
    },
    throttling_data: {
      periods: stat['nr_periods'] ?? 0,
      throttled_periods: stat['nr_throttled'] ?? 0,
      throttled_time: nano('throttled_usec'),
    },
  };
}

function cpuOfSplit(pid: number): CpuUsage {
  const account = cgroupFolder(pid, 'cpuacct') ?? '/nonexistent';
  const stat = readPairs(join(account, 'cpuacct.stat'));
  const throttling = readPairs(join(cgroupFolder(pid, 'cpu') ?? '/nonexistent', 'cpu.stat'));
  const each = (readOptional(join(account, 'cpuacct.usage_percpu')) ?? '').trim().split(/\s+/).filter(Boolean);
  return {
    cpu_usage: {
      total_usage: readCount(join(account, 'cpuacct.usage')) ?? 0,
      percpu_usage: each.map(Number),
      usage_in_kernelmode: (stat['system'] ?? 0) * tickNano,
      usage_in_usermode: (stat['user'] ?? 0) * tickNano,
    },
    throttling_data: {
      periods: throttling['nr_periods'] ?? 0,
      throttled_periods: throttling['nr_throttled'] ?? 0,
      throttled_time: throttling['throttled_time'] ?? 0,
    },
  };
}

function hostCpu(): { system_cpu_usage: number; online_cpus: number } {
  const line = /^cpu\s+(.*)$/m.exec(readOptional('/proc/stat') ?? '')?.[1] ?? '';
  // user nice system idle iowait irq softirq steal; guest time is in user already
  const ticks = line.split(/\s+/).slice(0, 8).map(Number);
  return {
    system_cpu_usage: ticks.reduce((sum, value) => sum + value, 0) * tickNano,
    online_cpus: availableParallelism(),
  };
}

export function memoryUsage(pid: number): object {
  const folder = cgroupFolder(pid, 'memory') ?? '/nonexistent';
  const stats = readPairs(join(folder, 'memory.stat'));
  const cap = (limit: number | undefined) => Math.min(limit ?? Number.MAX_SAFE_INTEGER, totalmem());
  if (isUnifiedCgroup()) {
    return {
      usage: readCount(join(folder, 'memory.current')) ?? 0,
      stats,
      limit: cap(readCount(join(folder, 'memory.max'))),
    };
  }
  return {
    usage: readCount(join(folder, 'memory.usage_in_bytes')) ?? 0,
    max_usage: readCount(join(folder, 'memory.max_usage_in_bytes')) ?? 0,
    stats,
    failcnt: readCount(join(folder, 'memory.failcnt')) ?? 0,
    limit: cap(readCount(join(folder, 'memory.limit_in_bytes'))),
  };
}

export function processCount(pid: number): object {
  const folder = cgroupFolder(pid, 'pids') ?? '/nonexistent';
  const current = readCount(join(folder, 'pids.current'));
  const limit = readCount(join(folder, 'pids.max'));
  return { ...(current === undefined ? {} : { current }), ...(limit === undefined ? {} : { limit }) };
}

export function blockUsage(pid: number): object {
  const bytes = isUnifiedCgroup() ? blockOfUnified(pid) : blockOfSplit(pid);
  return {
    io_service_bytes_recursive: bytes.length === 0 ? null : bytes,
    io_serviced_recursive: null,
    io_queue_recursive: null,
    io_service_time_recursive: null,
    io_wait_time_recursive: null,
    io_merged_recursive: null,
    io_time_recursive: null,
    sectors_recursive: null,
  };
}

/** `8:0 rbytes=1 wbytes=2 …`. */
function blockOfUnified(pid: number): BlockEntry[] {
  const text = readOptional(join(cgroupFolder(pid, 'io') ?? '/nonexistent', 'io.stat')) ?? '';
  return [...text.matchAll(/^([0-9]+):([0-9]+) (.*)$/gm)].flatMap(([, major, minor, rest = '']) =>
    (['rbytes', 'wbytes'] as const).flatMap((name) => {
      const value = new RegExp(`\\b${name}=([0-9]+)`).exec(rest)?.[1];
      if (value === undefined) return [];
      const op = name === 'rbytes' ? 'read' : 'write';
      return [{ major: Number(major), minor: Number(minor), op, value: Number(value) }];
    }),
  );
}

/** `8:0 Read 1`. */
function blockOfSplit(pid: number): BlockEntry[] {
  const folder = cgroupFolder(pid, 'blkio') ?? '/nonexistent';
  const text = readOptional(join(folder, 'blkio.throttle.io_service_bytes_recursive')) ?? '';
  return [...text.matchAll(/^([0-9]+):([0-9]+) (\w+) ([0-9]+)$/gm)].map(([, major, minor, op = '', value]) => ({
    major: Number(major),
    minor: Number(minor),
    op: op.toLowerCase(),
    value: Number(value),
  }));
}

/** Counters of each interface but the loopback, in the process's network namespace. proc_pid_net(5), `dev`. */
export function networkUsage(pid: number): Record<string, object> {
  const networks: Record<string, object> = {};
  for (const line of (readOptional(`/proc/${pid}/net/dev`) ?? '').split('\n').slice(2)) {
    const [, name, rest = ''] = /^\s*([^:]+):\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || name === 'lo') continue;
    const [rxBytes, rxPackets, rxErrors, rxDropped, , , , , txBytes, txPackets, txErrors, txDropped] = rest
      .split(/\s+/)
      .map(Number);
    networks[name] = {
      rx_bytes: rxBytes,
      rx_packets: rxPackets,
      rx_errors: rxErrors,
      rx_dropped: rxDropped,
      tx_bytes: txBytes,
      tx_packets: txPackets,
      tx_errors: txErrors,
      tx_dropped: txDropped,
    };
  }
  return networks;
}
