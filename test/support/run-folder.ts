/**
 * The folder of one test process, `/tmp/cleat-PID-STARTTIME`, short because socket paths end at 107 bytes. It is removed when
 * the process ends; folders of processes that were killed are removed by the next one that needs a folder. A number says
 * nothing in another pid namespace, so the name of a folder made in a host ends with a word for the namespace, and nobody
 * from elsewhere removes it.
 */
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { removeCgroups } from './cgroup.ts';
import { detachLoopDevices } from './loop-devices.ts';

let folder: string | undefined;

export function makeRunFolder(): string {
  if (folder !== undefined) return folder;
  removeDeadFolders();
  folder = join(tmpdir(), `cleat-${process.pid}-${startTime(process.pid)}${pidNamespace()}`);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  process.once('exit', () => {
    // Hosts that a failing test left open are still being killed by the kernel: then the next run removes it.
    try {
      rmdirSync(folder as string);
    } catch {}
  });
  return folder;
}

/** What a killed process left behind; its namespaces and mounts went with it. */
export function removeDeadFolders(): void {
  removeCgroups(isDead);
  detachLoopDevices(
    (file) => file.startsWith(`${tmpdir()}/`) && isDead(file.slice(tmpdir().length + 1).split('/')[0] ?? ''),
  );
  for (const entry of readdirSync(tmpdir()).filter(isDead)) {
    try {
      rmSync(join(tmpdir(), entry), { recursive: true, force: true });
    } catch {
      // A mount of a dying host may still be there; next time.
    }
  }
}

/** The parent control group of a host's containers, as `dockerd --cgroup-parent` wants it. */
export function cgroupParent(hostDir: string): string {
  return `/${basename(makeRunFolder())}-${basename(hostDir)}`;
}

function isDead(name: string): boolean {
  const match = /^cleat-(\d+)-(\d+)([a-z]\w*)?(?:-\d+)?$/.exec(name);
  return match !== null && (match[3] ?? '') === pidNamespace() && startTime(Number(match[1])) !== match[2];
}

/** Empty in the machine's own, whose inode number is fixed: PROC_PID_INIT_INO in linux/proc_ns.h. */
function pidNamespace(): string {
  const inode = Number(/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0]);
  return inode === 0xeffffffc ? '' : `n${inode.toString(36)}`;
}

/** Field 22 of /proc/PID/stat, which tells a process from a later one with the same number; undefined when there is none. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
