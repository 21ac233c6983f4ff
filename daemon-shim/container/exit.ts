/** What happens when a container's process has ended, however it ended. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../engine.ts';
import { removeExit } from '../runtime/monitor.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { emitContainerEvent } from './event.ts';
import { containerFolder, exitFolder } from './folder.ts';
import { endHealth } from './health.ts';
import type { Container } from './registry.ts';
import { removeStopped } from './remove-stopped.ts';
import { nextDelayMs, shouldRestart } from './restart-policy.ts';
import { startContainer } from './start.ts';
import { takeDown } from './take-down.ts';

/** Called under the container's lock. Goes on after a step that fails: the container is over in any case. */
export async function finishExit(engine: Engine, container: Container, exitCode: number): Promise<void> {
  if (!container.isRunning) return;
  const { log } = engine;
  const endedAt = now();
  endHealth(container);
  const { bundle } = containerFolder(engine.config, container.id);
  // conmon leaves this file when the kernel has killed a process of the group for want of memory.
  const oomKilled = existsSync(join(bundle, 'oom'));
  const attempt = async (what: string, step: () => Promise<void> | void) => {
    try {
      await step();
    } catch (error) {
      log.error({ err: error, container: container.id }, `${what} after the exit`);
    }
  };
  const ranMs = Date.now() - Date.parse(container.state.startedAt);
  await attempt('reading the last output', () => container.streams?.finish());
  container.streams = undefined;
  await takeDown(engine, container);
  const restart = shouldRestart(container.record, { exitCode, ranMs, requested: container.stopRequested });
  const remove = !restart && container.record.hostConfig.AutoRemove && !container.restartRequested;
  const state = {
    ...container.state,
    status: restart ? ('restarting' as const) : ('exited' as const),
    exitCode,
    oomKilled,
    pid: 0,
    finishedAt: formatTimestamp(endedAt),
  };
  // Its removal writes next; until then the exit code is in the monitor's file.
  if (remove) container.remember({ state });
  else {
    container.update({ state });
    await attempt('removing the exit code', () => removeExit(exitFolder(engine.config), container.id));
  }
  if (oomKilled) emitContainerEvent(engine, container, 'oom');
  emitContainerEvent(engine, container, 'die', {
    execDuration: String(Math.max(0, Math.floor(ranMs / 1000))),
    exitCode: String(exitCode),
  });
  // Those who wait are told of each end, also when another start follows, as Docker does.
  container.settle('exited');
  if (restart) scheduleRestart(engine, container, ranMs);
  else if (remove) await removeStopped(engine, container, { force: false, volumes: true });
}

function scheduleRestart(engine: Engine, container: Container, ranMs: number): void {
  container.restartDelayMs = nextDelayMs(container.restartDelayMs, ranMs);
  container.restartTimer = setTimeout(() => {
    const again = async () => {
      if (container.state.status !== 'restarting') return;
      container.updateState({ restartCount: container.state.restartCount + 1 });
      await startContainer(engine, container);
    };
    container.locked(again).catch((error: unknown) => {
      engine.log.warn({ err: error, container: container.id }, 'restart failed');
    });
  }, container.restartDelayMs);
}
