/** `stats`: one sample of a container's use, with the processor figures of the sample before. */

import {
  blockUsage,
  type CpuUsage,
  cpuUsage,
  memoryUsage,
  networkUsage,
  noCpuUsage,
  processCount,
} from '../runtime/usage.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { never } from './record.ts';
import type { Container } from './registry.ts';

export interface Sample {
  readonly read: string;
  readonly cpu: CpuUsage;
}

/** Undefined while it does not run. */
export function takeSample(container: Container): Sample | undefined {
  if (!container.isRunning) return undefined;
  return { read: formatTimestamp(now()), cpu: cpuUsage(container.state.pid) };
}

/** What the API answers; a container that does not run has its name and nothing else, as Docker shows it. */
export function statsOf(container: Container, sample: Sample | undefined, before: Sample | undefined): object {
  const { id, name, hostConfig, state } = container.record;
  const common = { name: `/${name}`, id, num_procs: 0, storage_stats: {} };
  if (sample === undefined) {
    return {
      ...common,
      read: never,
      preread: never,
      pids_stats: {},
      blkio_stats: nothingRead,
      cpu_stats: noCpuUsage,
      precpu_stats: noCpuUsage,
      memory_stats: {},
    };
  }
  return {
    ...common,
    read: sample.read,
    preread: before?.read ?? never,
    pids_stats: processCount(state.pid),
    blkio_stats: blockUsage(state.pid),
    cpu_stats: sample.cpu,
    precpu_stats: before?.cpu ?? noCpuUsage,
    memory_stats: memoryUsage(state.pid),
    ...(hostConfig.NetworkMode === 'host' ? {} : { networks: networkUsage(state.pid) }),
  };
}

const nothingRead = Object.fromEntries(
  [
    'io_service_bytes',
    'io_serviced',
    'io_queue',
    'io_service_time',
    'io_wait_time',
    'io_merged',
    'io_time',
    'sectors',
  ].map((name) => [`${name}_recursive`, null]),
);
