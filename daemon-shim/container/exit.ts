/** What happens when a container's process has ended, however it ended. */
import { rmSync } from 'node:fs';
import type { Engine } from '../engine.ts';
import { deleteFromRuntime } from '../runtime/monitor.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { emitContainerEvent } from './event.ts';
import { containerFolder } from './folder.ts';
import type { Container } from './registry.ts';
import { releaseRoot } from './root-mount.ts';
import { chooseRuntime } from './start.ts';

const cleanUpTimeoutMs = 10_000;

/** Called under the container's lock. Goes on after a step that fails: the container is over in any case. */
export async function finishExit(engine: Engine, container: Container, exitCode: number): Promise<void> {
  if (!container.isRunning) return;
  const { log } = engine;
  const attempt = async (what: string, step: () => Promise<void> | void) => {
    try {
      await step();
    } catch (error) {
      log.error({ err: error, container: container.id }, `${what} after the exit`);
    }
  };
  await attempt('reading the last output', () => container.streams?.finish());
  container.streams = undefined;
  await attempt('removing the runtime state', () =>
    deleteFromRuntime(chooseRuntime(engine, container.record.hostConfig.Runtime), container.id, cleanUpTimeoutMs),
  );
  await attempt('unmounting the root', () => releaseRoot(engine, container));
  await attempt('removing the bundle', () =>
    rmSync(containerFolder(engine.config, container.id).bundle, { recursive: true, force: true }),
  );
  container.updateState({ status: 'exited', exitCode, pid: 0, finishedAt: formatTimestamp(now()) });
  emitContainerEvent(engine, container, 'die', { exitCode: String(exitCode) });
  container.settle('exited');
}
