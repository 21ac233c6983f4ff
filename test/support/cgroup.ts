/** The control groups of one host's containers: a parent of their own, which is removed with the host. */
import { existsSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';

/** Hierarchies: one folder each with version 1, the root itself with version 2. */
function hierarchies(): string[] {
  if (existsSync(join(root, 'cgroup.controllers'))) return [root];
  return existsSync(root) ? readdirSync(root).map((name) => join(root, name)) : [];
}

/** Removes the groups below every hierarchy whose name passes; those that still hold processes stay for the next time. */
export function removeCgroups(matches: (name: string) => boolean): void {
  for (const hierarchy of hierarchies()) {
    for (const name of foldersOf(hierarchy).filter(matches)) removeTree(join(hierarchy, name));
  }
}

function removeTree(path: string): void {
  for (const name of foldersOf(path)) removeTree(join(path, name));
  try {
    rmdirSync(path);
  } catch {
    // Busy while its processes are dying.
  }
}

function foldersOf(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}
