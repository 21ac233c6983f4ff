/**
 * Runs an exec session.
 *
 *     EXEC_ROOT/execs/16 hex/     process.json, the FIFOs or the terminal's sockets; gone when it has ended
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiError, badRequest, conflict } from '../api/api-error.ts';
import { chooseRuntime } from '../container/choose-runtime.ts';
import { mergeEnvironment, processEnvironment, withoutRemoved } from '../container/environment.ts';
import { emitContainerEvent } from '../container/event.ts';
import { containerFolder } from '../container/folder.ts';
import { linkEnvironment, resolveLinks } from '../container/links.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { chooseCapabilities } from '../runtime/capabilities.ts';
import { execUnderMonitor, type RunningExec } from '../runtime/exec-monitor.ts';
import { exitCodeOfFailure } from '../runtime/failure-code.ts';
import { RuntimeError } from '../runtime/monitor.ts';
import { makeProcess, specText } from '../runtime/process.ts';
import { parseSecurityOptions } from '../runtime/security-options.ts';
import { capabilitiesOf, rlimitsOf } from '../runtime/spec.ts';
import {
  type ContainerStreams,
  closeContainerEnds,
  makeFifos,
  openExecTerminalStreams,
  openPipeStreams,
} from '../runtime/stdio.ts';
import { findUser } from '../runtime/user.ts';
import { requireRunning } from './create.ts';
import type { ExecSession } from './session.ts';

const runtimeTimeoutMs = 30_000;
/** A monitor that was killed cannot tell the exit code. */
const lostExitCode = 255;

export interface StartedExec {
  readonly streams: ContainerStreams;
  /** Resolves when the process has ended and its output has been delivered. */
  readonly ended: Promise<void>;
}

/** Checks what can be checked before the client's connection becomes a stream. */
export function claimExec(container: Container, session: ExecSession): void {
  if (session.status === 'running') throw conflict(`exec command ${session.id} is already running`);
  if (session.status === 'exited') throw conflict(`exec command ${session.id} has already run`);
  requireRunning(container);
}

/** `onStreams` is called before the process writes anything. Throws ApiError in Docker's words; then it has ended. */
export async function startExec(
  engine: Engine,
  container: Container,
  session: ExecSession,
  onStreams: (streams: ContainerStreams) => void,
): Promise<StartedExec> {
  claimExec(container, session);
  session.status = 'running';
  emitContainerEvent(engine, container, `exec_start: ${session.config.cmd.join(' ')}`, { execID: session.id });
  const folder = join(engine.config.execRoot, 'execs', session.id.slice(0, 16));
  try {
    return await run(engine, container, session, folder, onStreams);
  } catch (error) {
    const failure = execFailure(error);
    session.status = 'exited';
    session.exitCode = failure.exitCode;
    session.streams?.release();
    session.streams = undefined;
    rmSync(folder, { recursive: true, force: true });
    throw failure.error;
  }
}

async function run(
  engine: Engine,
  container: Container,
  session: ExecSession,
  folder: string,
  onStreams: (streams: ContainerStreams) => void,
): Promise<StartedExec> {
  const { tty, attachStdin } = session.config;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, 'process.json'), specText(processOf(engine, container, session)), { mode: 0o600 });
  const runtime = chooseRuntime(engine, container.record.hostConfig.Runtime);
  const stdio = tty ? undefined : makeFifos(folder, attachStdin, false);
  const open = (): ContainerStreams => {
    const streams = tty ? openExecTerminalStreams(folder) : openPipeStreams(folder, attachStdin);
    session.streams = streams;
    onStreams(streams);
    return streams;
  };
  let running: RunningExec;
  let streams: ContainerStreams | undefined;
  try {
    running = await execUnderMonitor({
      containerId: container.id,
      execId: session.id,
      folder,
      runtime,
      terminal: tty,
      ...(stdio ? { stdio } : {}),
      onAttachable: () => {
        streams = open();
      },
      timeoutMs: runtimeTimeoutMs,
    });
    streams ??= open();
  } finally {
    if (stdio !== undefined) closeContainerEnds(stdio);
  }
  session.pid = running.pid;
  return { streams, ended: finishExec(engine, container, session, running, folder) };
}

async function finishExec(
  engine: Engine,
  container: Container,
  session: ExecSession,
  running: RunningExec,
  folder: string,
): Promise<void> {
  const exitCode = await running.exitCode;
  if (exitCode === undefined) killLeft(running.pid);
  // Known before the streams end: clients ask as soon as they see the end.
  session.status = 'exited';
  session.exitCode = exitCode ?? lostExitCode;
  session.pid = 0;
  session.streams?.finish();
  session.streams = undefined;
  rmSync(folder, { recursive: true, force: true });
  emitContainerEvent(engine, container, 'exec_die', { exitCode: String(session.exitCode), execID: session.id });
}

/** Nobody watches over it any more. */
function killLeft(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone with its monitor
  }
}

function processOf(engine: Engine, container: Container, { config }: ExecSession): object {
  const { record } = container;
  const { hostConfig } = record;
  const root = containerFolder(engine.config, container.id).merged;
  const user = findUser(root, config.user || record.config.User, hostConfig.GroupAdd ?? []);
  const own = [
    ...linkEnvironment(record.name, resolveLinks(engine, record)),
    ...processEnvironment({ ...record.config, Tty: config.tty }, record.config.Hostname, user.home),
  ];
  return makeProcess({
    args: config.cmd,
    env: withoutRemoved(mergeEnvironment(own, config.env)),
    cwd: config.workingDir || record.config.WorkingDir || '/',
    terminal: config.tty,
    user,
    capabilities: config.privileged
      ? chooseCapabilities({ privileged: true, add: [], drop: [] })
      : capabilitiesOf(record),
    noNewPrivileges: parseSecurityOptions(hostConfig.SecurityOpt ?? [], engine.config).noNewPrivileges,
    oomScoreAdj: hostConfig.OomScoreAdj,
    rlimits: rlimitsOf(record, Object.values(engine.config.defaultUlimits)),
  });
}

function execFailure(error: unknown): { error: ApiError; exitCode: number } {
  if (error instanceof ApiError) return { error, exitCode: 126 };
  const text = error instanceof Error ? error.message : String(error);
  if (!(error instanceof RuntimeError)) return { error: new ApiError(500, text, { cause: error }), exitCode: 126 };
  const message = `OCI runtime exec failed: ${text}`;
  const exitCode = exitCodeOfFailure(text);
  return { error: exitCode === 128 ? new ApiError(500, message, { cause: error }) : badRequest(message), exitCode };
}
