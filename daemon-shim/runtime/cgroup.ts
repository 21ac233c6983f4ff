/** Where a process's control groups are on this host. cgroups(7), proc_pid_cgroup(5). */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isUnifiedCgroup } from './resources.ts';

const mountPoint = '/sys/fs/cgroup';

/** The folder of one controller (of the one hierarchy with version 2); undefined when the process is gone or has none. */
export function cgroupFolder(pid: number, controller: string): string | undefined {
  const text = readOptional(`/proc/${pid}/cgroup`);
  if (text === undefined) return undefined;
  for (const line of text.split('\n')) {
    const [, controllers = '', path] = /^[0-9]+:([^:]*):(.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    if (isUnifiedCgroup() && controllers === '') return join(mountPoint, path);
    if (controllers.split(',').includes(controller)) return join(mountPoint, controllers, path);
  }
  return undefined;
}

/** All processes of the group and of the groups below it. */
export function processesIn(folder: string): number[] {
  const own = (readOptional(join(folder, 'cgroup.procs')) ?? '').split('\n').filter(Boolean).map(Number);
  let below: string[] = [];
  try {
    below = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name));
  } catch {
    // the group is gone
  }
  return [...own, ...below.flatMap(processesIn)];
}

/** Undefined when there is no such file (any more). */
export function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** `name value` lines. */
export function readPairs(path: string): Record<string, number> {
  const pairs: Record<string, number> = {};
  for (const line of (readOptional(path) ?? '').split('\n')) {
    const [name, value] = line.split(' ');
    if (name && value !== undefined && /^[0-9]+$/.test(value)) pairs[name] = Number(value);
  }
  return pairs;
}

/** Undefined for `max` and for no file. */
export function readCount(path: string): number | undefined {
  const text = readOptional(path)?.trim();
  return text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : undefined;
}
