/** The OCI runtime specification of a container, from what the client asked for. Source: OCI runtime-spec 1.1, config.md. */
import { readFileSync } from 'node:fs';
import { ApiError } from '../api/api-error.ts';
import type { ContainerRecord } from '../container/record.ts';
import { chooseCapabilities } from './capabilities.ts';
import { defaultMounts, type OciMount } from './default-mounts.ts';
import { planDevices } from './device.ts';
import { planNamespaces } from './namespaces.ts';
import { makeProcess, type Rlimit } from './process.ts';
import { rootPropagation } from './propagation.ts';
import { planLimits } from './resources.ts';
import { seccompForRuntime } from './seccomp.ts';
import { defaultSeccompProfile } from './seccomp-default.ts';
import { parseSecurityOptions, type SecurityDefaults, type SecurityOptions } from './security-options.ts';
import { planSysctls } from './sysctls.ts';
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
  /** Limits of those who gave none: `--default-ulimit`. */
  readonly defaultRlimits: readonly Rlimit[];
  /** The host's folder for /dev/shm, when it is shared. */
  readonly sharedMemory: string | undefined;
  /** Host path of the init program that is to be process 1. */
  readonly init: string | undefined;
  readonly securityDefaults: SecurityDefaults;
  pidOf(containerId: string): number;
}

/** What goes into config.json. */
export type OciSpec = Readonly<Record<string, unknown>>;

export const defaultMaskedPaths: readonly string[] = [
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
export const defaultReadonlyPaths: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
];
const initInside = '/sbin/docker-init';

export function makeSpec(input: SpecInput): OciSpec {
  const { record, root, user, hostname, mounts, env, cgroupsPath, init } = input;
  const { config, hostConfig } = record;
  const { Privileged: privileged } = hostConfig;
  const security = parseSecurityOptions(hostConfig.SecurityOpt ?? [], input.securityDefaults);
  const capabilities = capabilitiesOf(record);
  const devices = planDevices({
    privileged,
    mappings: hostConfig.Devices ?? [],
    cgroupRules: hostConfig.DeviceCgroupRules ?? [],
  });
  const command = [record.path, ...record.args];
  return {
    ociVersion: '1.0.2',
    // With the host's UTS namespace a name would rename the host.
    ...(hostConfig.UTSMode === 'host' ? {} : { hostname }),
    root: { path: root, readonly: hostConfig.ReadonlyRootfs },
    process: makeProcess({
      args: init === undefined ? command : [initInside, '--', ...command],
      env,
      cwd: config.WorkingDir || '/',
      terminal: config.Tty,
      user,
      capabilities,
      noNewPrivileges: security.noNewPrivileges,
      oomScoreAdj: hostConfig.OomScoreAdj,
      rlimits: rlimitsOf(record, input.defaultRlimits),
    }),
    mounts: [
      ...defaultMounts(hostConfig, { sharedMemory: input.sharedMemory, writableCgroups: security.writableCgroups }),
      ...(init === undefined ? [] : [initMount(init)]),
      ...mounts,
    ],
    ...(hostConfig.Annotations ? { annotations: hostConfig.Annotations } : {}),
    linux: {
      cgroupsPath,
      namespaces: planNamespaces(hostConfig, {
        network: input.networkNamespace,
        pidOf: (id) => input.pidOf(id),
      }),
      sysctl: planSysctls(config, hostConfig),
      devices: devices.devices,
      maskedPaths: privileged ? [] : (hostConfig.MaskedPaths ?? defaultMaskedPaths),
      readonlyPaths: privileged ? [] : (hostConfig.ReadonlyPaths ?? defaultReadonlyPaths),
      resources: { devices: devices.rules, ...planLimits(hostConfig) },
      ...rootPropagation(record.mounts),
      ...seccompPart(security, privileged, capabilities),
    },
  };
}

export function capabilitiesOf({ hostConfig }: ContainerRecord): string[] {
  return chooseCapabilities({
    privileged: hostConfig.Privileged,
    add: hostConfig.CapAdd ?? [],
    drop: hostConfig.CapDrop ?? [],
  });
}

/** The user's own, and the defaults for names that the user has not given. */
export function rlimitsOf({ hostConfig }: ContainerRecord, defaults: readonly Rlimit[]): Rlimit[] {
  const own = hostConfig.Ulimits ?? [];
  return [...own, ...defaults.filter(({ Name }) => !own.some((limit) => limit.Name === Name))];
}

function initMount(source: string): OciMount {
  return { destination: initInside, type: 'bind', source, options: ['bind', 'ro'] };
}

function seccompPart(
  { seccomp }: SecurityOptions,
  privileged: boolean,
  capabilities: readonly string[],
): { seccomp?: object } {
  if (seccomp === undefined || (privileged && seccomp === defaultSeccompProfile)) return {};
  if (!kernelHasSeccomp()) {
    if (seccomp === defaultSeccompProfile) return {};
    throw new ApiError(400, 'seccomp is not enabled in your kernel, cannot run a custom seccomp profile');
  }
  return { seccomp: seccompForRuntime(seccomp, { capabilities }) };
}

/** proc_pid_status(5): the line is there when the kernel was built with CONFIG_SECCOMP. */
function kernelHasSeccomp(): boolean {
  return /^Seccomp:/m.test(readFileSync('/proc/self/status', 'utf8'));
}
