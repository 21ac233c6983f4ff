/** `stop`, `kill` and `restart`: asking a container's process to end, and waiting for it. */
import { badRequest, conflict } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { emitContainerEvent } from './event.ts';
import { resumeProcesses } from './pause.ts';
import type { Container } from './registry.ts';
import { isSignal, parseSignal } from './signal.ts';
import { startContainer } from './start.ts';

const defaultStopSeconds = 10;
const SIGKILL = 9;
const SIGTERM = 15;
/** After SIGKILL the kernel ends the process; what takes longer is stuck in the kernel. */
const killWaitMs = 10_000;

export interface StopOptions {
  readonly signal?: string;
  /** Seconds until SIGKILL; -1 waits for ever. Undefined: the container's own, else 10. */
  readonly timeoutSeconds?: number;
}

/** false: it was not running. */
export async function stopContainer(engine: Engine, container: Container, options: StopOptions = {}): Promise<boolean> {
  const { config } = container.record;
  const wanted = parseSignal(options.signal || config.StopSignal || 'SIGTERM');
  // A stop signal that is none ends the container all the same.
  const signal = isSignal(wanted) ? wanted : SIGTERM;
  const seconds = options.timeoutSeconds ?? config.StopTimeout ?? defaultStopSeconds;
  container.stopRequested = true;
  const wasRestarting = container.state.status === 'restarting';
  cancelRestart(container);
  // A restart may be under way: it ends first.
  if (wasRestarting) await container.locked(async () => {});
  if (!container.isRunning) {
    container.updateState({ manuallyStopped: true });
    return false;
  }
  container.updateState({ manuallyStopped: true });
  await resumeProcesses(engine, container);
  const ended = container.wait('not-running');
  await sendSignal(engine, container, signal);
  if (!(await within(ended, seconds < 0 ? undefined : seconds * 1000))) await killAndWait(engine, container, ended);
  emitContainerEvent(engine, container, 'stop');
  return true;
}

export async function killContainer(
  engine: Engine,
  container: Container,
  signalText: string | undefined,
  shown: string = container.id,
): Promise<void> {
  const signal = killSignal(signalText, shown);
  if (!container.isRunning) throw conflict(`cannot kill container: ${shown}: container ${container.id} is not running`);
  const { StopSignal: stopSignal } = container.record.config;
  // As Docker: whatever may be meant to end the container ends its restarts, too.
  const isEnd = signal === SIGKILL || !stopSignal || parseSignal(stopSignal) === signal;
  if (isEnd) container.stopRequested = true;
  container.updateState({ manuallyStopped: true });
  const ended = container.wait('not-running');
  if (signal === SIGKILL) return killAndWait(engine, container, ended);
  await sendSignal(engine, container, signal);
  if (isEnd) await resumeProcesses(engine, container);
}

function killSignal(text: string | undefined, shown: string): number {
  try {
    const signal = parseSignal(text || 'SIGKILL');
    if (!isSignal(signal)) throw badRequest(`the linux daemon does not support signal ${signal}`);
    return signal;
  } catch (error) {
    throw badRequest(`cannot kill container: ${shown}: ${(error as Error).message}`);
  }
}

export async function restartContainer(engine: Engine, container: Container, options: StopOptions): Promise<void> {
  container.restartRequested = true;
  try {
    if (container.isRunning) await stopContainer(engine, container, options);
    // The end may still be on its way through the lock.
    await container.locked(async () => {});
  } finally {
    container.restartRequested = false;
  }
  await container.locked(() => startContainer(engine, container));
  emitContainerEvent(engine, container, 'restart');
}

/** A container that waits for its next start is over now. */
export function cancelRestart(container: Container): void {
  clearTimeout(container.restartTimer);
  container.restartTimer = undefined;
  if (container.state.status !== 'restarting') return;
  container.updateState({ status: 'exited' });
  container.settle('exited');
}

async function sendSignal(engine: Engine, container: Container, signal: number): Promise<void> {
  const { pid } = container.state;
  if (pid <= 0) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  emitContainerEvent(engine, container, 'kill', { signal: String(signal) });
}

async function killAndWait(engine: Engine, container: Container, ended: Promise<unknown>): Promise<void> {
  await sendSignal(engine, container, SIGKILL);
  await resumeProcesses(engine, container); // what is frozen does not even die
  if (await within(ended, killWaitMs)) return;
  throw new Error(`cannot stop container: ${container.id}: tried to kill container, but did not receive an exit event`);
}

/** Whether the promise settled in time; undefined waits for ever. */
async function within(promise: Promise<unknown>, timeoutMs: number | undefined): Promise<boolean> {
  if (timeoutMs === undefined) {
    await promise;
    return true;
  }
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
