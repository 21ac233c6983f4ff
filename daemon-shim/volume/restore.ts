/**
 * Volumes at the shim's start: each known one is asked for at its driver, and forgotten when the driver knows it no more. In the
 * background: a driver that is not there keeps its volumes, and holds nobody up.
 */
import type { Engine } from '../engine.ts';
import { findAtDriver, volumePlugin } from './volumes.ts';

export function restoreVolumes(engine: Engine): void {
  for (const { name, driver } of engine.volumes.list()) {
    const look = async (): Promise<void> => {
      const plugin = await volumePlugin(engine, driver);
      await engine.volumes.locked(name, async () => {
        if ((await findAtDriver(plugin, name)) === undefined) engine.volumes.delete(name);
      });
    };
    look().catch((error: unknown) => {
      engine.log.warn({ err: error, volume: name, driver }, 'looking for a volume');
    });
  }
}
