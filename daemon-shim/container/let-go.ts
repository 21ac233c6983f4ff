/** The shim goes, the containers stay: whatever ties the process to them is let go of. */
import type { Engine } from '../engine.ts';
import { endHealth } from './health.ts';

export function letGoOfContainers(engine: Engine): void {
  for (const container of engine.containers.list()) {
    endHealth(container);
    clearTimeout(container.restartTimer);
    for (const { streams } of container.execs.values()) streams?.release();
    container.logSession?.release();
    container.streams?.release();
  }
}
