/** The mounts that every container has, as Docker makes them. */
import { existsSync } from 'node:fs';
import type { HostConfig } from '../container/record.ts';

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export const defaultShmBytes: number = 64 << 20;

export interface MountFacts {
  /** The folder on the host that is /dev/shm of containers that share it; undefined: the container's own. */
  readonly sharedMemory: string | undefined;
  /** `--security-opt writable-cgroups`. */
  readonly writableCgroups: boolean;
}

export function defaultMounts(hostConfig: HostConfig, facts: MountFacts): OciMount[] {
  const access = hostConfig.Privileged ? 'rw' : 'ro';
  const cgroupAccess = hostConfig.Privileged || facts.writableCgroups ? 'rw' : 'ro';
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', access] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [cgroupAccess, 'nosuid', 'noexec', 'nodev'],
    },
    messageQueues(hostConfig),
    ...sharedMemory(hostConfig, facts.sharedMemory),
  ];
}

function messageQueues({ IpcMode }: HostConfig): OciMount {
  const destination = '/dev/mqueue';
  // A host may have none mounted.
  if (IpcMode === 'host' && existsSync(destination))
    return { destination, type: 'bind', source: destination, options: ['rbind', 'rprivate'] };
  return { destination, type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] };
}

function sharedMemory({ IpcMode, ShmSize, Tmpfs }: HostConfig, shared: string | undefined): OciMount[] {
  const destination = '/dev/shm';
  if (IpcMode === 'none' || Object.hasOwn(Tmpfs ?? {}, destination)) return [];
  if (shared !== undefined) return [{ destination, type: 'bind', source: shared, options: ['rbind', 'rprivate'] }];
  const size = `size=${ShmSize || defaultShmBytes}`;
  return [{ destination, type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777', size] }];
}
