/** Which namespaces a container has of its own, which it shares with the host, and which with another container. */
import type { HostConfig } from '../container/record.ts';
import { isUnifiedCgroup } from './resources.ts';

export interface NamespaceFacts {
  /** Path to enter; undefined: the host's. */
  readonly network: string | undefined;
  /** Pid of a container by its id; throws when it does not run. */
  pidOf(containerId: string): number;
}

interface OciNamespace {
  readonly type: string;
  readonly path?: string;
}

export function planNamespaces(hostConfig: HostConfig, facts: NamespaceFacts): OciNamespace[] {
  const { PidMode, IpcMode, UTSMode } = hostConfig;
  return [
    { type: 'mount' },
    ...shared('pid', PidMode, facts),
    ...shared('ipc', IpcMode, facts),
    ...shared('uts', UTSMode, facts),
    ...(hasOwnCgroupNamespace(hostConfig) ? [{ type: 'cgroup' }] : []),
    ...(facts.network === undefined ? [] : [{ type: 'network', path: facts.network }]),
  ];
}

function shared(type: 'pid' | 'ipc' | 'uts', mode: string, facts: NamespaceFacts): OciNamespace[] {
  if (mode === 'host') return [];
  const other = containerOfMode(mode);
  return other === undefined ? [{ type }] : [{ type, path: `/proc/${facts.pidOf(other)}/ns/${type}` }];
}

/** The X of `container:X`. */
export function containerOfMode(mode: string): string | undefined {
  return mode.startsWith('container:') ? mode.slice('container:'.length) : undefined;
}

/** Docker's default: the host's with control groups version 1, an own one with version 2. */
export function defaultCgroupNamespace(privileged: boolean): 'host' | 'private' {
  return isUnifiedCgroup() && !privileged ? 'private' : 'host';
}

function hasOwnCgroupNamespace({ CgroupnsMode, Privileged }: HostConfig): boolean {
  return (CgroupnsMode || defaultCgroupNamespace(Privileged)) === 'private';
}
