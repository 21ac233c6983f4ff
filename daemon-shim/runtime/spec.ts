/** The OCI runtime specification of a container, from what the client asked for. Source: OCI runtime-spec 1.1, config.md. */
import type { ContainerRecord } from '../container/record.ts';
import { chooseCapabilities } from './capabilities.ts';
import { defaultMounts, type OciMount } from './default-mounts.ts';
import type { ProcessUser } from './user.ts';

export interface SpecInput {
  readonly record: ContainerRecord;
  /** The mounted root file system. */
  readonly root: string;
  readonly user: ProcessUser;
  readonly hostname: string;
  /** Path of the network namespace to enter; undefined: the host's own. */
  readonly networkNamespace: string | undefined;
  /** Volumes, binds and tmpfs of the user, and the files that the shim keeps (hosts, hostname, resolv.conf). */
  readonly mounts: readonly OciMount[];
  readonly env: readonly string[];
  readonly cgroupsPath: string;
}

/** What goes into config.json. */
export type OciSpec = Readonly<Record<string, unknown>>;

const maskedPaths = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

export function makeSpec(input: SpecInput): OciSpec {
  const { record, root, user, hostname, mounts, env, cgroupsPath } = input;
  const { config, hostConfig } = record;
  const capabilities = chooseCapabilities({
    privileged: hostConfig.Privileged,
    add: hostConfig.CapAdd ?? [],
    drop: hostConfig.CapDrop ?? [],
  });
  // As Docker does: ambient stays empty, and a user other than root keeps only the bounding set.
  const effective = user.uid === 0 ? capabilities : [];
  return {
    ociVersion: '1.0.2',
    hostname,
    root: { path: root, readonly: hostConfig.ReadonlyRootfs },
    process: {
      terminal: config.Tty,
      user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
      args: [record.path, ...record.args],
      env,
      cwd: config.WorkingDir || '/',
      capabilities: { bounding: capabilities, effective, permitted: effective },
      oomScoreAdj: hostConfig.OomScoreAdj,
    },
    mounts: [...defaultMounts(hostConfig), ...mounts],
    linux: {
      cgroupsPath,
      namespaces: [
        { type: 'mount' },
        { type: 'pid' },
        { type: 'ipc' },
        { type: 'uts' },
        ...(input.networkNamespace === undefined ? [] : [{ type: 'network', path: input.networkNamespace }]),
      ],
      maskedPaths: hostConfig.Privileged ? [] : maskedPaths,
      readonlyPaths: hostConfig.Privileged ? [] : readonlyPaths,
      resources: { devices: [{ allow: false, access: 'rwm' }, ...allowedDevices] },
    },
  };
}

/** Docker's default device rules: make any node, use the harmless ones. */
const allowedDevices = [
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  ...[
    [1, 3],
    [1, 5],
    [1, 7],
    [1, 8],
    [1, 9],
    [5, 0],
    [5, 1],
    [5, 2],
  ].map(([major, minor]) => ({ allow: true, type: 'c', major, minor, access: 'rwm' })),
  { allow: true, type: 'c', major: 136, access: 'rwm' },
];
