/**
 * Where removed data goes: one rename, which a crash cannot cut in two, and then a deletion that may take its time. The
 * folder lies on the file system of the data, and what is in it belongs to nobody any more.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, renameSync, rmdirSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { isAtOrBelow, readMountinfo } from '../linux/mountinfo.ts';
import { removeTree } from '../linux/remove-tree.ts';
import { PluginError } from '../sdk/errors.ts';

export interface Trash {
  /** Moves a folder away; success when there is none. Throws VOL_IN_USE when something is mounted at or below it. */
  take(folder: string): void;
  /** Deletes the folder of a volume's mount points, which must be empty: nothing in there is ever data. */
  takeMountFolder(folder: string): void;
  emptySoon(): void;
  /** Resolves when the deletion that runs is done. */
  idle(): Promise<void>;
}

export function openTrash(folder: string, log: Logger): Trash {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  let running: Promise<void> | undefined;
  let again = false;
  const emptyOnce = async (): Promise<void> => {
    for (const name of await readdir(folder)) {
      await removeTree(join(folder, name)).catch((error: unknown) => {
        log.warn(
          { folder: join(folder, name), err: error },
          'removed data could not be deleted; the next start tries again',
        );
      });
    }
  };
  const empty = async (): Promise<void> => {
    do {
      again = false;
      await emptyOnce();
    } while (again);
    running = undefined;
  };
  return {
    take(path) {
      refuseMountPoints(path);
      try {
        renameSync(path, join(folder, randomUUID()));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    },
    takeMountFolder(path) {
      refuseMountPoints(path);
      for (const part of ['root', 'device', '']) removeEmptyFolder(join(path, part));
    },
    emptySoon() {
      if (running === undefined) running = empty();
      else again = true;
    },
    async idle() {
      await running;
    },
  };
}

function removeEmptyFolder(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** The mount table decides, not what a record says: nothing is renamed, let alone deleted, below which something is mounted. */
export function refuseMountPoints(folder: string): void {
  const mount = readMountinfo().find(({ mountPoint }) => isAtOrBelow(mountPoint, folder));
  if (mount === undefined) return;
  throw new PluginError('VOL_IN_USE', `${mount.source} (${mount.fsType}) is mounted on ${mount.mountPoint}`, {
    hint: `unmount it first: umount ${mount.mountPoint}`,
  });
}
