/**
 * At start: what an earlier shim left, brought together with what is there. Containers that still run are adopted with their
 * streams and get a new log session; those that ended meanwhile are finished with the exit code that conmon wrote; removals
 * cut short are done again; restart policies are followed.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { processStartTicks } from '../../plugins/linux/mountinfo.ts';
import type { Engine } from '../engine.ts';
import { closeStaleSession, startLogging } from '../log/start-logging.ts';
import { readOptional } from '../runtime/cgroup.ts';
import { endMonitors } from '../runtime/end-monitor.ts';
import { readExit, removeExit, runtimeCommand, startCreated } from '../runtime/monitor.ts';
import { adoptTerminalStreams, endedTerminalStreams, openPipeStreams } from '../runtime/stdio.ts';
import { chooseRuntime } from './choose-runtime.ts';
import { finishExit } from './exit.ts';
import { containerFolder, exitFolder } from './folder.ts';
import { beginHealth } from './health.ts';
import type { Container } from './registry.ts';
import { removeStopped } from './remove-stopped.ts';
import { adoptRoot } from './root-mount.ts';
import { startContainer } from './start.ts';
import { sweepLeftovers } from './sweep.ts';
import { takeDown } from './take-down.ts';

const runtimeTimeoutMs = 10_000;

/** More than a plugin that is not there is looked for (15 s). */
const patienceMs = 20_000;

/** Exit code of a container whose end nobody saw: the machine went down, or its monitor was killed. */
const unknownExitCode = 255;

/**
 * A plugin that hangs holds up the containers that use it, whose locks are held meanwhile, and not the engine: after a while
 * the others are served.
 */
export async function restoreContainers(engine: Engine): Promise<void> {
  await sweepLeftovers(engine);
  endMonitors(
    new Set(
      engine.containers
        .list()
        .filter((container) => isHalfStarted(engine, container))
        .map(({ id }) => id),
    ),
  );
  const restored = engine.containers.list().map((container) =>
    container
      .locked(() => restoreContainer(engine, container))
      .catch((error: unknown) => {
        engine.log.error({ err: error, container: container.id }, 'restoring a container');
      }),
  );
  const done = new AbortController();
  const tooLong = delay(patienceMs, undefined, { signal: done.signal }).catch(() => {});
  await Promise.race([Promise.all(restored), tooLong]);
  done.abort();
}

/** Under the lock. */
async function restoreContainer(engine: Engine, container: Container): Promise<void> {
  const { status } = container.state;
  if (isHalfStarted(engine, container)) {
    await takeDown(engine, container);
    removeExit(exitFolder(engine.config), container.id);
  }
  if (status === 'removing') return removeStopped(engine, container, { force: true, volumes: true });
  if (container.isRunning) {
    const alive = isAlive(container);
    await adopt(engine, container, alive);
    if (alive) {
      await finishStart(engine, container);
      if (container.state.status === 'running') beginHealth(engine, container, false);
      return;
    }
    await finishExit(engine, container, readExit(exitFolder(engine.config), container.id) ?? unknownExitCode);
  }
  if (engine.containers.find(container.id) === undefined) return;
  if (container.state.status === 'restarting' || startsWithEngine(container)) {
    await startContainer(engine, container).catch((error: unknown) => {
      engine.log.warn({ err: error, container: container.id }, 'starting a container by its restart policy');
    });
  }
}

/** A start that was cut short before the record said that it runs. */
function isHalfStarted(engine: Engine, container: Container): boolean {
  return !container.isRunning && existsSync(containerFolder(engine.config, container.id).bundle);
}

/** The record says that it runs, but the runtime may still be waiting for the word. */
async function finishStart(engine: Engine, container: Container): Promise<void> {
  const runtime = chooseRuntime(engine, container.record.hostConfig.Runtime);
  const text = await runtimeCommand(runtime, ['state', container.id], runtimeTimeoutMs);
  if (/"status":\s*"created"/.test(text)) await startCreated(runtime, container.id, runtimeTimeoutMs);
}

/** Streams and log session of a container that runs, or whose last output is still in its pipes. */
async function adopt(engine: Engine, container: Container, alive: boolean): Promise<void> {
  const { record } = container;
  const { bundle } = containerFolder(engine.config, container.id);
  if (alive) adoptRoot(container);
  await closeStaleSession(engine, container);
  if (!existsSync(join(bundle, record.config.Tty ? 'terminal.log' : 'stdout'))) return;
  const logging = await startLogging(engine, container).catch((error: unknown) => {
    engine.log.error({ err: error, container: container.id }, 'no log session for an adopted container');
    return undefined;
  });
  // Opened last: what waits in the pipes is read at once, and somebody has to listen by then.
  const openTerminal = alive ? adoptTerminalStreams : endedTerminalStreams;
  const streams = record.config.Tty ? openTerminal(bundle) : openPipeStreams(bundle, record.config.OpenStdin);
  container.streams = streams;
  if (logging !== undefined) streams.output.listen(logging.listener);
  container.logSession = logging;
}

/** The process of the record, and not another one with its pid. */
export function isAlive(container: Container): boolean {
  const { pid, pidStartTime } = container.state;
  return pid > 0 && !isZombie(pid) && processStartTicks(pid) !== undefined && processStartTicks(pid) === pidStartTime;
}

/** Ended, but its parent has not asked: the monitor is gone, and nobody reaps. proc_pid_stat(5). */
function isZombie(pid: number): boolean {
  const stat = readOptional(`/proc/${pid}/stat`) ?? '';
  return /^[ZX] /.test(stat.slice(stat.lastIndexOf(')') + 2));
}

/** `always` starts in any case, `unless-stopped` when no user had stopped it. */
function startsWithEngine(container: Container): boolean {
  const { Name: name } = container.record.hostConfig.RestartPolicy;
  const wasStarted = container.state.startedAt !== '0001-01-01T00:00:00Z';
  if (container.isRunning || !wasStarted) return false;
  return name === 'always' || (name === 'unless-stopped' && !container.state.manuallyStopped);
}
