/**
 * Reads mount tables: /proc/PID/mountinfo of one process, or of one process in every mount namespace of the machine.
 * Reading them never touches the file systems listed there, so a dead server does not matter. proc_pid_mountinfo(5).
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

export interface MountEntry {
  readonly mountId: number;
  readonly parentId: number;
  /** `major:minor` of st_dev: the same for every mount of one file system. */
  readonly device: string;
  /** Path inside the file system that is the root of this mount: `/` unless it is a bind mount. */
  readonly root: string;
  readonly mountPoint: string;
  /** Per-mount options: `rw,relatime`. */
  readonly options: string;
  /** Optional fields: `shared:5`, `master:2`, `propagate_from:1`, `unbindable`. */
  readonly propagation: readonly string[];
  readonly fsType: string;
  readonly source: string;
  /** Per-file-system options; NFS lists the server's address here. */
  readonly superOptions: string;
}

/** A mount namespace, seen through one of its processes. */
export interface MountNamespace {
  /** `mnt:[4026531841]`. */
  readonly name: string;
  /** The first process found in it. */
  readonly pid: number;
  readonly mounts: readonly MountEntry[];
}

export function parseMountinfo(text: string): readonly MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    // The optional fields in the middle end with a single hyphen.
    const separator = fields.indexOf('-', 6);
    const [mountId, parentId, device, root, mountPoint, options] = fields;
    const [fsType, source, superOptions] = fields.slice(separator + 1);
    if (separator < 0 || options === undefined || fsType === undefined) return [];
    return {
      mountId: Number(mountId),
      parentId: Number(parentId),
      device: device ?? '',
      root: unescapeField(root ?? ''),
      mountPoint: unescapeField(mountPoint ?? ''),
      options,
      propagation: fields.slice(6, separator),
      fsType,
      source: unescapeField(source ?? ''),
      superOptions: superOptions ?? '',
    };
  });
}

/** Blank, tab, newline and backslash are written as three octal digits, byte by byte. */
function unescapeField(field: string): string {
  return field.includes('\\')
    ? field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
    : field;
}

export function readMountinfo(pid: number | 'self' = 'self'): readonly MountEntry[] {
  return parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
}

/** The mount that a path lies on: the longest mount point above it, the latest of those stacked on one point. */
export function findMountOf(path: string, mounts: readonly MountEntry[]): MountEntry | undefined {
  let best: MountEntry | undefined;
  for (const mount of mounts) {
    if (
      isAtOrBelow(path, mount.mountPoint) &&
      (best === undefined || mount.mountPoint.length >= best.mountPoint.length)
    )
      best = mount;
  }
  return best;
}

/** The top mount exactly at the path. */
export function findMountAt(path: string, mounts: readonly MountEntry[]): MountEntry | undefined {
  return mounts.findLast((mount) => mount.mountPoint === path);
}

export function isAtOrBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

/** Every mount namespace that a process lives in, as far as /proc shows them; ours is among them. */
export function readMountNamespaces(): readonly MountNamespace[] {
  const firstPids = new Map<string, number>();
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const name = ifAlive(() => readlinkSync(`/proc/${pid}/ns/mnt`));
    if (name !== undefined && !firstPids.has(name)) firstPids.set(name, pid);
  }
  return [...firstPids].flatMap(([name, pid]) => {
    const mounts = ifAlive(() => readMountinfo(pid));
    return mounts === undefined ? [] : { name, pid, mounts };
  });
}

export function ownMountNamespace(): string {
  return readlinkSync('/proc/self/ns/mnt');
}

/** What to call a process: the 64-digit container ID in its control group, and its command name. */
export function describeProcess(pid: number): { readonly containerId?: string; readonly command: string } {
  const command = ifAlive(() => readFileSync(`/proc/${pid}/comm`, 'utf8').trim()) ?? '';
  const groups = ifAlive(() => readFileSync(`/proc/${pid}/cgroup`, 'utf8')) ?? '';
  const containerId = groups
    .split('\n')
    .map((line) => basename(line).match(/[0-9a-f]{64}/)?.[0])
    .find((id) => id !== undefined);
  return containerId === undefined ? { command } : { containerId, command };
}

/** Start time of a process in clock ticks since boot, which tells it from a later one with its number; undefined when it is gone. */
export function processStartTicks(pid: number): string | undefined {
  const stat = ifAlive(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  // The command in parentheses may hold blanks; starttime is field 22 of proc_pid_stat(5).
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}

/** undefined for a process that has ended, or that is another user's. */
function ifAlive<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EINVAL') return undefined;
    throw error;
  }
}
