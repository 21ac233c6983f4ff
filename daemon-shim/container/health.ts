/**
 * Health checks: a probe is an exec session of its own that runs every so often; so many failures in a row make the container
 * unhealthy. Source: Dockerfile reference, HEALTHCHECK; Engine API, `State.Health`.
 */
import { randomBytes } from 'node:crypto';
import type { Engine } from '../engine.ts';
import { ExecSession } from '../exec/session.ts';
import { startExec } from '../exec/start.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { emitContainerEvent } from './event.ts';
import type { HealthConfig, HealthState } from './record.ts';
import type { Container } from './registry.ts';

const defaultProbeMs = 30_000;
const defaultStartIntervalMs = 5000;
const defaultRetries = 3;
/** As Docker: the last so many results, so much of each one's output. */
const keptResults = 5;
const maxOutputBytes = 4096;

interface Plan {
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

interface ProbeResult {
  readonly start: string;
  readonly exitCode: number;
  readonly output: string;
}

/** Undefined for a container without a check. Pure. */
export function planHealth(config: HealthConfig | undefined, shell: readonly string[] | undefined): Plan | undefined {
  const [kind, ...command] = config?.Test ?? [];
  if (config === undefined || kind === undefined || kind === 'NONE' || command.length === 0) return undefined;
  const ms = (nano: number | undefined, otherwise: number) => (nano ? nano / 1e6 : otherwise);
  return {
    command: kind === 'CMD-SHELL' ? [...(shell ?? ['/bin/sh', '-c']), ...command] : command,
    intervalMs: ms(config.Interval, defaultProbeMs),
    timeoutMs: ms(config.Timeout, defaultProbeMs),
    startPeriodMs: ms(config.StartPeriod, 0),
    startIntervalMs: ms(config.StartInterval, defaultStartIntervalMs),
    retries: config.Retries || defaultRetries,
  };
}

/** What a probe's result makes of the state. Failures of a container that is starting up do not count. Pure. */
export function nextHealth(
  state: HealthState,
  result: ProbeResult & { readonly end: string },
  { retries, startingUp }: { readonly retries: number; readonly startingUp: boolean },
): HealthState {
  const entry = { Start: result.start, End: result.end, ExitCode: result.exitCode, Output: result.output };
  const log = [...state.Log, entry].slice(-keptResults);
  if (result.exitCode === 0) return { Status: 'healthy', FailingStreak: 0, Log: log };
  if (startingUp && state.Status === 'starting') return { ...state, Log: log };
  const streak = state.FailingStreak + 1;
  return { Status: streak >= retries ? 'unhealthy' : state.Status, FailingStreak: streak, Log: log };
}

/** Called when the container has started (`fresh`), goes on after a pause, or has outlived an earlier shim. */
export function beginHealth(engine: Engine, container: Container, fresh: boolean): void {
  endHealth(container);
  const { Healthcheck, Shell } = container.record.config;
  const plan = planHealth(Healthcheck, Shell);
  if (plan === undefined) return;
  if (fresh || container.state.health === undefined)
    container.updateState({ health: { Status: 'starting', FailingStreak: 0, Log: [] } });
  const run = { ended: false };
  const next = () => {
    if (run.ended) return;
    container.healthTimer = setTimeout(
      () => {
        void probe(engine, container, plan, run).then(next, (error: unknown) => {
          engine.log.error({ err: error, container: container.id }, 'health check');
          next();
        });
      },
      intervalMs(container, plan),
    );
  };
  container.endHealth = () => {
    run.ended = true;
  };
  next();
}

/** The container is paused or over. */
export function endHealth(container: Container): void {
  clearTimeout(container.healthTimer);
  container.endHealth?.();
  container.endHealth = undefined;
}

function intervalMs(container: Container, plan: Plan): number {
  return isStartingUp(container, plan) && container.state.health?.Status === 'starting'
    ? plan.startIntervalMs
    : plan.intervalMs;
}

function isStartingUp(container: Container, { startPeriodMs }: Plan): boolean {
  return Date.now() - Date.parse(container.state.startedAt) < startPeriodMs;
}

async function probe(engine: Engine, container: Container, plan: Plan, run: { ended: boolean }): Promise<void> {
  const result = await runProbe(engine, container, plan);
  const before = container.state.health;
  if (run.ended || before === undefined || container.state.status !== 'running') return;
  const end = formatTimestamp(now());
  const startingUp = isStartingUp(container, plan);
  const health = nextHealth(before, { ...result, end }, { retries: plan.retries, startingUp });
  container.updateState({ health });
  if (health.Status !== before.Status) emitContainerEvent(engine, container, `health_status: ${health.Status}`);
}

async function runProbe(engine: Engine, container: Container, plan: Plan): Promise<ProbeResult> {
  const start = formatTimestamp(now());
  const session = new ExecSession(randomBytes(32).toString('hex'), {
    user: '',
    privileged: false,
    tty: false,
    attachStdin: false,
    attachStdout: true,
    attachStderr: true,
    detachKeys: '',
    env: [],
    cmd: plan.command,
    workingDir: '',
  });
  container.execs.set(session.id, session);
  emitContainerEvent(engine, container, `exec_create: ${plan.command.join(' ')}`, { execID: session.id });
  let output = Buffer.alloc(0);
  const text = () => output.toString();
  const take = (_stream: string, chunk: Buffer): undefined => {
    output = Buffer.concat([output, chunk.subarray(0, maxOutputBytes - output.length)]);
  };
  let timer: NodeJS.Timeout | undefined;
  try {
    const { ended } = await startExec(engine, container, session, (streams) =>
      streams.output.listen({ take, end: () => {} }),
    );
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), plan.timeoutMs);
    });
    if ((await Promise.race([ended, late])) !== 'late')
      return { start, exitCode: session.exitCode ?? -1, output: text() };
    killProbe(session);
    await ended;
    const words = `Health check exceeded timeout (${goDuration(plan.timeoutMs)})`;
    return { start, exitCode: -1, output: output.length === 0 ? words : `${words}: ${text()}` };
  } catch (error) {
    return { start, exitCode: session.exitCode ?? -1, output: (error as Error).message };
  } finally {
    clearTimeout(timer);
    container.execs.delete(session.id);
  }
}

function killProbe({ pid }: ExecSession): void {
  try {
    if (pid > 0) process.kill(pid, 'SIGKILL');
  } catch {
    // it has just ended
  }
}

/** `1m30s`, `500ms`, as Go writes durations. */
export function goDuration(ms: number): string {
  if (ms < 1000) return `${ms}ms`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor((ms % 3_600_000) / 60_000);
  const seconds = (ms % 60_000) / 1000;
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
}
