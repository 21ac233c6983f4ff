/** Limits by project quota: the volume stays a plain folder, and the file system counts. */
import { randomInt } from 'node:crypto';
import { enforcesProjectQuota, readProjectUsage, setProject, setProjectLimits } from '../../linux/quota.ts';
import { PluginError } from '../../sdk/errors.ts';
import type { Usage } from '../backend.ts';

export interface FolderLimits {
  readonly bytes: number | undefined;
  readonly inodes: number | undefined;
}

/** Engines number their own projects upwards from small ones; ours are drawn from the upper half. */
const lowestId = 2 ** 31;
const idRange = 2 ** 30;

export { enforcesProjectQuota };

/** Puts an empty folder under a project of its own; returns the project's number. */
export function limitFolder(folder: string, limits: FolderLimits): number {
  const projectId = findFreeProject(folder);
  setProject(folder, projectId);
  changeLimits(folder, projectId, limits);
  return projectId;
}

export function changeLimits(folder: string, projectId: number, { bytes = 0, inodes = 0 }: FolderLimits): void {
  // The folder itself is an inode of the project.
  setProjectLimits(folder, projectId, { bytes, inodes: inodes === 0 ? 0 : inodes + 1 });
}

export function folderUsage(folder: string, projectId: number): Usage {
  const { usedBytes, usedInodes, limitBytes, limitInodes } = readProjectUsage(folder, projectId);
  return {
    usedBytes,
    usedInodes,
    ...(limitBytes === 0 ? {} : { limitBytes }),
    ...(limitInodes === 0 ? {} : { limitInodes }),
  };
}

function findFreeProject(folder: string): number {
  for (let tries = 0; tries < 100; tries++) {
    const id = lowestId + randomInt(idRange);
    const { usedBytes, usedInodes, limitBytes, limitInodes } = readProjectUsage(folder, id);
    if (usedBytes + usedInodes + limitBytes + limitInodes === 0) return id;
  }
  throw new PluginError('VOL_QUOTA', `no free project number was found on the file system of ${folder}`);
}
