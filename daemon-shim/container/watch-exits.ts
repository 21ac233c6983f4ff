/** Notices the end of every container: by the exit code that its monitor writes, or by its process being gone without one. */
import { mkdirSync } from 'node:fs';
import type { Engine } from '../engine.ts';
import { readExit, watchExits } from '../runtime/monitor.ts';
import { finishExit } from './exit.ts';
import { exitFolder } from './folder.ts';
import type { Container } from './registry.ts';
import { isAlive } from './restore.ts';

/** A monitor that was killed writes no exit code; how often that is looked for. */
const lookMs = 2000;
/** What a process without a monitor ended with cannot be known; Docker shows the same. */
const lostExitCode = 255;

export function watchContainerExits(engine: Engine): { close(): void } {
  const folder = exitFolder(engine.config);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const finish = (container: Container, exitCode: number) => {
    container
      .locked(() => finishExit(engine, container, exitCode))
      .catch((error: unknown) => {
        engine.log.error({ err: error, container: container.id }, 'finishing a container that has ended');
      });
  };
  const watcher = watchExits(folder, (id, exitCode) => {
    const container = engine.containers.find(id);
    if (container !== undefined) finish(container, exitCode);
  });
  const missing = new Set<string>();
  const timer = setInterval(() => {
    for (const container of engine.containers.list()) {
      if (!container.isRunning || isAlive(container)) missing.delete(container.id);
      else if (missing.has(container.id)) finish(container, readExit(folder, container.id) ?? lostExitCode);
      else missing.add(container.id); // its exit code may be on its way: the next look decides
    }
  }, lookMs);
  return {
    close: () => {
      clearInterval(timer);
      watcher.close();
    },
  };
}
