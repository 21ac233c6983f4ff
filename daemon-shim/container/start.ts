/** `start`: from a created or stopped container to a running process. Undone in reverse when a step fails. */
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processStartTicks } from '../../plugins/linux/mountinfo.ts';
import { ApiError, badRequest, conflict } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { startLogging } from '../log/start-logging.ts';
import { bareIp } from '../network/pools.ts';
import { removeGroups } from '../runtime/cgroup.ts';
import { endMonitors } from '../runtime/end-monitor.ts';
import { exitCodeOfFailure, failedExitCode } from '../runtime/failure-code.ts';
import { endHolder } from '../runtime/fifo-holder.ts';
import { findInitProgram } from '../runtime/init-program.ts';
import { createUnderMonitor, deleteFromRuntime, RuntimeError, startCreated } from '../runtime/monitor.ts';
import type { OciRuntime } from '../runtime/oci-runtime.ts';
import { specText } from '../runtime/process.ts';
import { makeSpec } from '../runtime/spec.ts';
import { closeContainerEnds, makeFifos, openPipeStreams, openTerminalStreams } from '../runtime/stdio.ts';
import { setsInterfaces } from '../runtime/sysctls.ts';
import { findUser } from '../runtime/user.ts';
import { attachNetworks, detachNetworks } from '../sandbox/attach-networks.ts';
import { makeSandboxFiles, sandboxFileMounts, sandboxFiles, writeSandboxFiles } from '../sandbox/files.ts';
import { createSandbox, deleteSandbox, sandboxKey } from '../sandbox/sandbox.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { mountDepth } from '../volume/mount-points.ts';
import { mountAll, unmountVolumes } from '../volume/mount-volumes.ts';
import { cgroupPathOf } from './cgroup-path.ts';
import { chooseRuntime } from './choose-runtime.ts';
import { processEnvironment } from './environment.ts';
import { emitContainerEvent } from './event.ts';
import { containerFolder, exitFolder } from './folder.ts';
import { beginHealth } from './health.ts';
import { linkEnvironment, linkedFrom, linkHosts, resolveLinks } from './links.ts';
import type { Container } from './registry.ts';
import { removeStopped } from './remove-stopped.ts';
import { holdRoot, releaseRoot } from './root-mount.ts';
import { mountSharedMemory, unmountSharedMemory } from './shared-memory.ts';
import { makeWorkingFolder } from './working-folder.ts';

/** A runtime that does not answer is given up; engines' clients wait longer than this. */
const runtimeTimeoutMs = 30_000;

/** Resolves when the process runs; false when it ran already. Throws ApiError with what Docker says. */
export async function startContainer(engine: Engine, container: Container): Promise<boolean> {
  if (container.state.status === 'paused') {
    throw conflict('cannot start a paused container, try unpause instead');
  }
  if (container.isRunning) return false;
  if (container.state.status === 'removing' || container.state.status === 'dead') {
    throw conflict('container is marked for removal and cannot be started');
  }
  clearTimeout(container.restartTimer);
  container.stopRequested = false;
  container.execs.clear();
  const { status, restartCount } = container.state;
  if (status !== 'restarting' && restartCount !== 0) container.updateState({ restartCount: 0 });
  const undo: (() => Promise<void> | void)[] = [];
  try {
    await startSteps(engine, container, undo);
  } catch (error) {
    for (const step of undo.reverse()) {
      await Promise.resolve(step()).catch((failure: unknown) =>
        engine.log.error({ err: failure, container: container.id }, 'undoing a failed start'),
      );
    }
    const failure = startFailure(error);
    container.updateState({
      status: container.state.status === 'created' ? 'created' : 'exited',
      exitCode: failure.exitCode,
      error: failure.error.message,
      pid: 0,
    });
    container.settle('exited');
    // `--rm` holds for a container that never ran, too: the client waits for its removal.
    if (container.record.hostConfig.AutoRemove) await removeStopped(engine, container, { force: true, volumes: true });
    throw failure.error;
  }
  emitContainerEvent(engine, container, 'start');
  beginHealth(engine, container, true);
  for (const other of linkedFrom(engine, container)) rewriteHosts(engine, other);
  return true;
}

async function startSteps(engine: Engine, container: Container, undo: (() => Promise<void> | void)[]): Promise<void> {
  const { record } = container;
  const { bundle } = containerFolder(engine.config, container.id);
  const runtime = chooseRuntime(engine, record.hostConfig.Runtime);
  mkdirSync(bundle, { recursive: true, mode: 0o700 });
  undo.push(() => dropHalfMade(engine, container, runtime));
  const root = holdRoot(engine, container);
  undo.push(() => releaseRoot(engine, container));
  const user = findUser(root, record.config.User, record.hostConfig.GroupAdd ?? []);
  makeWorkingFolder(root, record.config.WorkingDir);
  const hostname = record.config.Hostname;
  undo.push(() => unmountVolumes(engine, container));
  const mounts = await mountAll(engine, container);
  const networkNamespace = prepareNamespace(engine, container, undo);
  undo.push(() => unmountSharedMemory(engine, container));
  const sharedMemory = mountSharedMemory(engine, container);
  const spec = makeSpec({
    record,
    root,
    user,
    hostname,
    networkNamespace,
    // Files below a mounted folder come after it.
    mounts: [...sandboxFileMounts(engine.config, container.id), ...mounts].sort(
      (a, b) => mountDepth(a.destination) - mountDepth(b.destination),
    ),
    env: [
      ...linkEnvironment(record.name, resolveLinks(engine, container.record)),
      ...processEnvironment(record.config, hostname, user.home),
    ],
    cgroupsPath: cgroupPathOf(engine, container),
    defaultRlimits: Object.values(engine.config.defaultUlimits),
    sharedMemory,
    init: wantsInit(engine, container) ? findInitProgram(engine.config.initPath) : undefined,
    securityDefaults: engine.config,
    pidOf: (id) => runningPid(engine, container, id),
  });
  writeFileSync(join(bundle, 'config.json'), specText(spec), { mode: 0o600 });
  await deleteFromRuntime(runtime, container.id, runtimeTimeoutMs);
  const terminal = record.config.Tty;
  const create = () => createProcess(engine, container, runtime);
  const connect = async () => {
    const session = await startLogging(engine, container);
    undo.push(() => session?.stop());
    await joinNetworks(engine, container, undo);
    return session;
  };
  // The runtime makes the process while the plugins work: it needs the namespace, and nothing of what goes into it.
  const [pid, logging] = setsInterfaces(record.hostConfig)
    ? await connect().then(async (session) => [await create(), session] as const)
    : await both(create(), connect());
  const streams = terminal ? openTerminalStreams(bundle) : openPipeStreams(bundle, record.config.OpenStdin);
  if (logging !== undefined) streams.output.listen(logging.listener);
  container.logSession = logging;
  container.streams = streams;
  undo.push(() => {
    container.streams = undefined;
    container.logSession = undefined;
    streams.release();
  });
  const startTicks = processStartTicks(pid);
  // Written before the process runs: a shim that dies here finds the container by its record.
  container.updateState({
    status: 'running',
    pid,
    ...(startTicks === undefined ? {} : { pidStartTime: startTicks }),
    exitCode: 0,
    oomKilled: false,
    error: '',
    startedAt: formatTimestamp(now()),
    manuallyStopped: false,
  });
  await startCreated(runtime, container.id, runtimeTimeoutMs);
}

/** The process under its monitor, waiting for the word to run its program; its pid. */
async function createProcess(engine: Engine, container: Container, runtime: OciRuntime): Promise<number> {
  const { bundle } = containerFolder(engine.config, container.id);
  const { Tty: terminal, OpenStdin: openStdin } = container.record.config;
  const stdio = terminal ? undefined : makeFifos(bundle, openStdin);
  const options = { id: container.id, bundle, runtime, terminal, openStdin, timeoutMs: runtimeTimeoutMs };
  try {
    return await createUnderMonitor({ ...options, ...(stdio ? { stdio } : {}) }, exitFolder(engine.config));
  } finally {
    if (stdio !== undefined) closeContainerEnds(stdio);
  }
}

/** Waits for both in any case, so that whatever they made can be undone; the first one's failure comes first. */
async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([a, b]);
  return [await a, await b];
}

/** Monitor, runtime state and streams of a container that did not come to be. */
async function dropHalfMade(engine: Engine, container: Container, runtime: OciRuntime): Promise<void> {
  const { bundle } = containerFolder(engine.config, container.id);
  endMonitors(new Set([container.id]));
  await deleteFromRuntime(runtime, container.id, runtimeTimeoutMs);
  await removeGroups(cgroupPathOf(engine, container));
  endHolder(bundle, 'output.holder');
  endHolder(bundle, 'stdin.holder');
  rmSync(bundle, { recursive: true, force: true });
}

/** As Docker does: no init where the container is not alone with its processes. */
function wantsInit(engine: Engine, container: Container): boolean {
  const { Init, PidMode } = container.record.hostConfig;
  return (Init ?? engine.config.init) && PidMode === '';
}

/** Of a container whose namespace is to be joined. */
function runningPid(engine: Engine, container: Container, other: string): number {
  const target = engine.containers.get(other);
  if (!target.isRunning)
    throw conflict(
      `cannot join namespace of a non running container: container ${container.id} wants one of ${target.id}`,
    );
  return target.state.pid;
}

/** The namespace to enter, empty still; undefined for the host's own. The container's files are there to be mounted. */
function prepareNamespace(
  engine: Engine,
  container: Container,
  undo: (() => Promise<void> | void)[],
): string | undefined {
  const mode = container.record.hostConfig.NetworkMode;
  if (mode === 'host') {
    writeSandboxFiles(engine.config, {
      record: container.record,
      key: undefined,
      hostGatewayIp: hostGateway(engine),
    });
    return undefined;
  }
  if (mode.startsWith('container:')) return sharedNamespace(engine, container, mode.slice('container:'.length));
  const key = sandboxKey(engine.config, container.id);
  createSandbox(key);
  undo.push(() => deleteSandbox(key));
  makeSandboxFiles(engine.config, container.id);
  return key;
}

/** The networks of a container with a namespace of its own, and what its files say of them. */
async function joinNetworks(engine: Engine, container: Container, undo: (() => Promise<void> | void)[]): Promise<void> {
  const mode = container.record.hostConfig.NetworkMode;
  if (mode === 'host' || mode.startsWith('container:')) return;
  undo.push(() => detachNetworks(engine, container));
  await attachNetworks(engine, container);
  rewriteFiles(engine, container);
}

/** A container that this one links to has started, perhaps with another address. */
function rewriteHosts(engine: Engine, container: Container): void {
  try {
    rewriteFiles(engine, container);
  } catch (error) {
    engine.log.warn({ err: error, container: container.id }, 'writing the hosts file of a container with links');
  }
}

/** The files of a container with a namespace of its own, as its networks and links are now. */
export function rewriteFiles(engine: Engine, container: Container): void {
  writeSandboxFiles(engine.config, {
    record: container.record,
    key: sandboxKey(engine.config, container.id),
    hostGatewayIp: hostGateway(engine),
    linkedHosts: linkHosts(resolveLinks(engine, container.record, false)),
  });
}

/** `--network container:X`: its namespace, and its files. */
function sharedNamespace(engine: Engine, container: Container, other: string): string {
  const target = engine.containers.get(other);
  if (!target.isRunning) throw conflict(`cannot join network of a non running container: ${target.id}`);
  const theirs = sandboxFiles(engine.config, target.id);
  const ours = sandboxFiles(engine.config, container.id);
  for (const name of ['hostname', 'hosts', 'resolvConf'] as const) copyFileSync(theirs[name], ours[name]);
  return `/proc/${target.state.pid}/ns/net`;
}

/** What `host-gateway` means: the default network's gateway. */
function hostGateway(engine: Engine): string {
  const given = engine.config.hostGatewayIps[0];
  if (given !== undefined) return given;
  const pool = engine.networks.find('bridge')?.pools.find((candidate) => candidate.gateway !== undefined);
  return pool?.gateway === undefined ? '127.0.0.1' : bareIp(pool.gateway);
}

/** Exit codes as Docker gives them: 127 no such program, 126 cannot be run, 128 anything else. */
function startFailure(error: unknown): { error: ApiError; exitCode: number } {
  if (error instanceof ApiError) return { error, exitCode: 128 };
  const text = error instanceof Error ? error.message : String(error);
  if (!(error instanceof RuntimeError)) return { error: new ApiError(500, text, { cause: error }), exitCode: 128 };
  const message = `failed to create task for container: failed to create shim task: OCI runtime create failed: ${text}`;
  const exitCode = exitCodeOfFailure(text);
  if (exitCode === failedExitCode) return { error: new ApiError(500, message, { cause: error }), exitCode };
  if (/not a directory/i.test(text))
    return {
      error: badRequest(
        `${message}: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type`,
      ),
      exitCode,
    };
  return { error: badRequest(message), exitCode };
}
