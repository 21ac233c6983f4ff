/** How much is in a volume, as Docker counts it: the bytes of its files, not of its folders. */
import { randomBytes } from 'node:crypto';
import { runCommand } from '../../plugins/linux/command.ts';
import type { Engine } from '../engine.ts';
import { type ShownVolume, volumePlugin } from './volumes.ts';

/** A volume on a server that does not answer is shown without its size. */
const measureTimeoutMs = 10_000;

/**
 * -1 when it cannot be told. A volume of the default driver that is not mounted is mounted for it; those of other drivers may
 * be far away, and Docker measures none of them.
 */
export async function volumeBytes(engine: Engine, volume: ShownVolume): Promise<number> {
  if (volume.Mountpoint !== '') return folderBytes(volume.Mountpoint);
  if (volume.Driver !== engine.config.defaultVolumeDriver && volume.Driver !== 'local') return -1;
  const holder = { name: volume.Name, id: randomBytes(32).toString('hex') };
  try {
    const plugin = await volumePlugin(engine, volume.Driver);
    const folder = await plugin.mount(holder);
    try {
      return await folderBytes(folder);
    } finally {
      await plugin.unmount(holder);
    }
  } catch (error) {
    engine.log.warn({ err: error, volume: volume.Name }, 'measuring a volume');
    return -1;
  }
}

/** By another process: a file system that hangs holds up nothing else. Files with several names count once. */
async function folderBytes(path: string): Promise<number> {
  try {
    const args = ['-P', path, '-xdev', '!', '-type', 'd', '-printf', '%i %s\\n'];
    const { stdout } = await runCommand('find', args, { timeoutMs: measureTimeoutMs, maxOutputBytes: 256 << 20 });
    const sizes = new Map(stdout.split('\n').map((line) => line.split(' ') as [string, string]));
    return [...sizes.values()].reduce((sum, size) => sum + Number(size ?? 0), 0);
  } catch {
    return -1;
  }
}
