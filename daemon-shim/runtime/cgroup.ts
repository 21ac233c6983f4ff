/** Where a process's control groups are on this host. cgroups(7), proc_pid_cgroup(5). */
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isUnifiedCgroup } from './resources.ts';

const mountPoint = '/sys/fs/cgroup';
const removeEveryMs = 20;
const removeAttempts = 100;

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
  return [...own, ...foldersIn(folder).flatMap(processesIn)];
}

/**
 * Ends what is left in the groups of that path, in every hierarchy, and removes them; success when there are none. A runtime
 * that was killed while it made a container knows nothing of the groups that it had made.
 */
export async function removeGroups(path: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const left = foldersOf(path);
    if (left.length === 0) return;
    // 0 stands for a process of another pid namespace, and would be our own group.
    for (const pid of new Set(left.flatMap(processesIn))) if (pid > 0) endProcess(pid);
    const errors = left.flatMap(removeGroup);
    if (errors.length === 0) return;
    // EBUSY: its processes are dying.
    if (attempt >= removeAttempts) throw errors[0];
    await delay(removeEveryMs);
  }
}

/** Removes the group of that path wherever nothing is in it; one that is in use, or is not there, stays as it is. */
export function removeEmptyGroup(path: string): void {
  for (const folder of foldersOf(path)) {
    try {
      rmdirSync(folder);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'EBUSY' && code !== 'ENOTEMPTY') throw error;
    }
  }
}

/** Of the group of that path, in every hierarchy that has it. */
function foldersOf(path: string): string[] {
  return hierarchies()
    .map((hierarchy) => join(hierarchy, path))
    .filter((folder) => existsSync(folder));
}

function hierarchies(): string[] {
  if (isUnifiedCgroup()) return [mountPoint];
  return foldersIn(mountPoint);
}

function removeGroup(folder: string): unknown[] {
  const errors = foldersIn(folder).flatMap(removeGroup);
  try {
    rmdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') errors.push(error);
  }
  return errors;
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name));
  } catch {
    return []; // gone
  }
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has just ended
  }
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
