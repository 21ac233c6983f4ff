/**
 * Where things lie in the state folder. Data and mount points are apart, so that no delete of data ever meets a mount.
 *
 * ```
 * STATE_DIR/volumed.db                        records
 * STATE_DIR/volumes/DRIVER/NAME/_data         a volume that is a folder
 *                              /image         a volume that is a file system in a file
 * STATE_DIR/mounts/DRIVER/NAME/root           what the engine binds into containers, when something has to be mounted
 *                             /device         the whole file system, when `root` is a folder of it
 * STATE_DIR/mounts/exports/KEY                an NFS export that volumes share
 * STATE_DIR/trash/UUID                        removed, waiting for its deletion
 * ```
 */
import { join } from 'node:path';
import type { VolumeName } from './volume-name.ts';

export interface Layout {
  readonly stateDir: string;
  readonly runDir: string;
  readonly trash: string;
  readonly mounts: string;
  readonly exports: string;
  /** The folder of all data of one volume. */
  volume(driver: string, name: VolumeName): string;
  data(driver: string, name: VolumeName): string;
  image(driver: string, name: VolumeName): string;
  /** The folder of both mount points. */
  mountFolder(driver: string, name: VolumeName): string;
  root(driver: string, name: VolumeName): string;
  device(driver: string, name: VolumeName): string;
}

export function createLayout(stateDir: string, runDir: string): Layout {
  const volume: Layout['volume'] = (driver, name) => join(stateDir, 'volumes', driver, name);
  const mounts = join(stateDir, 'mounts');
  const mountFolder: Layout['mountFolder'] = (driver, name) => join(mounts, driver, name);
  return {
    stateDir,
    runDir,
    trash: join(stateDir, 'trash'),
    mounts,
    exports: join(mounts, 'exports'),
    volume,
    data: (driver, name) => join(volume(driver, name), '_data'),
    image: (driver, name) => join(volume(driver, name), 'image'),
    mountFolder,
    root: (driver, name) => join(mountFolder(driver, name), 'root'),
    device: (driver, name) => join(mountFolder(driver, name), 'device'),
  };
}
