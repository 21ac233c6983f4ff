/**
 * The layer between every image and every container: places for what engines mount, and the file by which programs know
 * that they are in a container. As a layer of its own it is no change of the container's: `docker diff` and `commit` do not
 * see it. moby daemon/initlayer.
 */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** No layer has this name: theirs begin with a digit. */
export const initLayerName = 'init';

const folders = ['dev/pts', 'dev/shm', 'proc', 'sys'];
const files = ['.dockerenv', 'etc/resolv.conf', 'etc/hosts', 'etc/hostname', 'dev/console'];

/** Makes what is missing. */
export function makeInitLayer(layersFolder: string): void {
  const root = join(layersFolder, initLayerName);
  for (const folder of folders) mkdirSync(join(root, folder), { recursive: true, mode: 0o755 });
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true, mode: 0o755 });
    if (!existsSync(join(root, file))) writeFileSync(join(root, file), '', { mode: 0o755 });
  }
  // A dangling link while nothing is mounted: existsSync would follow it.
  try {
    symlinkSync('/proc/mounts', join(root, 'etc/mtab'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
