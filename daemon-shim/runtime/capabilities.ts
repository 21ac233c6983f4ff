/** Linux capabilities of a container: Docker's default set, and what --cap-add, --cap-drop and --privileged make of it. */
import { readFileSync } from 'node:fs';
import { badRequest } from '../api/api-error.ts';

/** In the order of <linux/capability.h>. */
const all = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
] as const;

const defaults: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FSETID',
  'FOWNER',
  'MKNOD',
  'NET_RAW',
  'SETGID',
  'SETUID',
  'SETFCAP',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'KILL',
  'AUDIT_WRITE',
];

export interface CapabilityRequest {
  readonly privileged: boolean;
  readonly add: readonly string[];
  readonly drop: readonly string[];
}

/** `CAP_…` names. Throws 400 for a name that the kernel does not have. */
export function chooseCapabilities({ privileged, add, drop }: CapabilityRequest): string[] {
  const added = add.map((name) => normalize(name, 'CapAdd'));
  const dropped = drop.map((name) => normalize(name, 'CapDrop'));
  const everything = all.filter((_name, number) => hasInBoundingSet(number));
  if (privileged) return everything.map((name) => `CAP_${name}`);
  const base: readonly string[] = added.includes('ALL') ? everything : dropped.includes('ALL') ? [] : defaults;
  const chosen = new Set([...base, ...added.filter((name) => name !== 'ALL')]);
  if (!dropped.includes('ALL')) for (const name of dropped) chosen.delete(name);
  return all.filter((name) => chosen.has(name)).map((name) => `CAP_${name}`);
}

/** "All" is what the engine itself may hand on: an engine in a container has less. proc_pid_status(5), CapBnd. */
function hasInBoundingSet(number: number): boolean {
  boundingSet ??= BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  return ((boundingSet >> BigInt(number)) & 1n) === 1n;
}

let boundingSet: bigint | undefined;

function normalize(name: string, field: string): string {
  const short = name.toUpperCase().replace(/^CAP_/, '');
  if (short !== 'ALL' && !(all as readonly string[]).includes(short)) {
    throw badRequest(`invalid ${field}: unknown capability: "CAP_${short}"`);
  }
  return short;
}
