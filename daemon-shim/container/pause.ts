/** `pause` and `unpause`: the runtime freezes the container's control group. */
import { conflict } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { runtimeCommand } from '../runtime/monitor.ts';
import { chooseRuntime } from './choose-runtime.ts';
import { emitContainerEvent } from './event.ts';
import { beginHealth, endHealth } from './health.ts';
import type { Container } from './registry.ts';

const runtimeTimeoutMs = 10_000;

/** Under the lock. */
export async function pauseContainer(engine: Engine, container: Container): Promise<void> {
  if (!container.isRunning) throw conflict(`container ${container.id} is not running`);
  if (container.state.status === 'paused') throw conflict(`Container ${container.id} is already paused`);
  await runtimeCommand(runtimeOf(engine, container), ['pause', container.id], runtimeTimeoutMs);
  endHealth(container);
  container.updateState({ status: 'paused' });
  emitContainerEvent(engine, container, 'pause');
}

/** Under the lock. */
export async function unpauseContainer(engine: Engine, container: Container): Promise<void> {
  if (container.state.status !== 'paused') throw conflict(`Container ${container.id} is not paused`);
  await resumeProcesses(engine, container);
  beginHealth(engine, container, false);
  emitContainerEvent(engine, container, 'unpause');
}

/** Success when it is not paused; what is frozen takes no signal. */
export async function resumeProcesses(engine: Engine, container: Container): Promise<void> {
  if (container.state.status !== 'paused') return;
  await runtimeCommand(runtimeOf(engine, container), ['resume', container.id], runtimeTimeoutMs);
  if (container.state.status === 'paused') container.updateState({ status: 'running' });
}

function runtimeOf(engine: Engine, container: Container) {
  return chooseRuntime(engine, container.record.hostConfig.Runtime);
}
