/**
 * One conmon for each container (2 MB): it makes the container through the OCI runtime, waits for it and writes its exit
 * code, so that neither depends on the shim being alive.
 *
 *     EXEC_ROOT/containers/ID/          the OCI bundle (config.json), stdin, stdout, stderr FIFOs, attach and ctl of a terminal
 *     EXEC_ROOT/exits/ID                the exit code, once there is one
 *
 * Without a terminal the container holds the FIFOs itself (`passthrough`): conmon carries no byte of output. With one, conmon
 * owns the pseudo-terminal and serves it on the `attach` socket.
 */
import { closeSync, constants, openSync, readdirSync, readFileSync, readSync, rmSync, watch } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Child, openPipe, startChild } from '../../plugins/linux/child.ts';
import { CommandError, runCommand } from '../../plugins/linux/command.ts';
import { closeFd } from '../../plugins/linux/syscall.ts';
import type { OciRuntime } from './oci-runtime.ts';
import { forget, tellToGo } from './runc-state.ts';
import { SyncPipe, type SyncReport } from './sync-pipe.ts';
import { terminalLogBytes } from './terminal-log.ts';

/** Descriptors that the container gets; undefined is /dev/null. */
export interface ContainerStdio {
  readonly stdin?: number;
  readonly stdout: number;
  readonly stderr: number;
  /** A writer of stdin that is ours, closed with the others. */
  readonly held?: number;
}

export interface MonitorOptions {
  readonly id: string;
  /** Folder with config.json and rootfs. */
  readonly bundle: string;
  readonly runtime: OciRuntime;
  readonly terminal: boolean;
  readonly openStdin: boolean;
  /** Needed unless `terminal`. */
  readonly stdio?: ContainerStdio;
  readonly timeoutMs: number;
}

/** The container exists, its process waits for `start`; resolves with its pid. Throws RuntimeError with the runtime's words. */
export async function createUnderMonitor(options: MonitorOptions, exitDir: string): Promise<number> {
  const { id, bundle, runtime, terminal, stdio } = options;
  await mkdir(exitDir, { recursive: true, mode: 0o700 });
  removeExit(exitDir, id);
  const args = [
    ...['--api-version', '1', '--cid', id, '--cuuid', id, '--name', id, '--runtime', runtime.path, '--bundle', bundle],
    ...[
      '--container-pidfile',
      join(bundle, 'pid'),
      '--conmon-pidfile',
      join(bundle, 'monitor.pid'),
      '--exit-dir',
      exitDir,
    ],
    ...['--full-attach', '--log-level', 'warning', '--no-sync-log'],
    ...runtime.globalArgs.flatMap((arg) => ['--runtime-arg', arg]),
    ...(terminal
      ? [
          '--terminal',
          '--stdin',
          '--leave-stdin-open',
          '--log-path',
          `k8s-file:${join(bundle, 'terminal.log')}`,
          '--log-size-max',
          String(terminalLogBytes),
        ]
      : ['--log-path', 'passthrough']),
  ];
  const { child, pipe } = startMonitor(args, {
    cwd: bundle, // where it leaves the file `oom`
    descriptors: [stdio?.stdin ?? 'ignore', stdio?.stdout ?? 'ignore', stdio?.stderr ?? 'ignore'],
  });
  const report = await firstReport(pipe, child, options.timeoutMs).finally(() => pipe.close());
  if (report !== undefined && report.data > 0) return report.data;
  // With passthrough the runtime's words went where the container's errors go.
  const words = report?.message ?? (stdio === undefined ? '' : readLeft(join(bundle, 'stderr')));
  throw new RuntimeError(cleanMessage(words || 'conmon ended without an answer'));
}

/** What the OCI runtime answered when it could not do what it was told. */
export class RuntimeError extends Error {
  override readonly name: string = 'RuntimeError';
}

export async function startCreated(runtime: OciRuntime, id: string, timeoutMs: number): Promise<void> {
  if (await tellToGo(runtime, id, timeoutMs)) return;
  await runtimeCommand(runtime, ['start', id], timeoutMs);
}

/** Removes what the runtime keeps of a container; success when it keeps nothing, which its state folder tells cheaply. */
export async function deleteFromRuntime(runtime: OciRuntime, id: string, timeoutMs: number): Promise<void> {
  const { stateDir } = runtime;
  if (stateDir !== undefined && !namesIn(stateDir).some((name) => name.includes(id))) return;
  await runtimeCommand(runtime, ['delete', '--force', id], timeoutMs).catch((error: unknown) => {
    if (error instanceof RuntimeError && /does not exist|not found/i.test(error.message)) return;
    throw error;
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // it has never made anything
  }
}

/** Runs one verb of the runtime; its JSON log lines become the error. */
export async function runtimeCommand(runtime: OciRuntime, args: readonly string[], timeoutMs: number): Promise<string> {
  try {
    return (await runCommand(runtime.path, [...runtime.globalArgs, ...args], { timeoutMs })).stdout;
  } catch (error) {
    if (error instanceof CommandError)
      throw new RuntimeError(cleanMessage(error.stderr || error.message), { cause: error });
    throw error;
  }
}

/** After the end of its processes and control groups. */
export async function forgetInRuntime(runtime: OciRuntime, id: string, timeoutMs: number): Promise<void> {
  if (!forget(runtime, id)) await deleteFromRuntime(runtime, id, timeoutMs);
}

/** Calls back once for every container whose exit code has been written, also for those written before. */
export function watchExits(exitDir: string, onExit: (id: string, exitCode: number) => void): { close(): void } {
  const look = (id: string) => {
    const code = readExit(exitDir, id);
    if (code !== undefined) onExit(id, code);
  };
  const watcher = watch(exitDir, (_event, name) => {
    if (name !== null && /^[0-9a-f]{64}$/.test(name)) look(name);
  });
  return { close: () => watcher.close() };
}

/** The exit code, or undefined while there is none (conmon renames the finished file into place). */
export function readExit(exitDir: string, id: string): number | undefined {
  try {
    const code = Number.parseInt(readFileSync(join(exitDir, id), 'utf8'), 10);
    return Number.isNaN(code) ? undefined : code;
  } catch {
    return undefined;
  }
}

/** Success when there is none. */
export function removeExit(exitDir: string, id: string): void {
  rmSync(join(exitDir, id), { force: true });
}

export interface MonitorProcess {
  readonly cwd?: string;
  /** Descriptors 0 to 2. */
  readonly descriptors: readonly [number | 'ignore', number | 'ignore', number | 'ignore'];
  /** Descriptors from 4 on, and the variables that tell their numbers. */
  readonly more?: readonly number[];
  readonly env?: Readonly<Record<string, string>>;
}

/** conmon, with the pipe for its reports as descriptor 3. Throws RuntimeError when it cannot be run. */
export function startMonitor(args: readonly string[], options: MonitorProcess): { child: Child; pipe: SyncPipe } {
  const { cwd, descriptors, more = [], env } = options;
  const pipe = openPipe('read');
  try {
    const child = startChild('conmon', args, {
      ...(cwd === undefined ? {} : { cwd }),
      descriptors: [...descriptors, pipe.theirs, ...more],
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', _OCI_SYNCPIPE: '3', ...env },
    });
    return { child, pipe: new SyncPipe(pipe.ours) };
  } catch (error) {
    pipe.ours.destroy();
    throw new RuntimeError(`conmon cannot be run: ${(error as Error).message}; install conmon`, { cause: error });
  } finally {
    closeFd(pipe.theirs);
  }
}

/** Undefined when conmon ended without a word. */
export async function firstReport(pipe: SyncPipe, child: Child, timeoutMs: number): Promise<SyncReport | undefined> {
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    child.kill('SIGKILL');
    reject(new RuntimeError(`the runtime did not make the process within ${timeoutMs / 1000} s`));
  }, timeoutMs);
  try {
    return await Promise.race([pipe.next(), failed]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a FIFO that nobody writes to any more still holds. */
export function readLeft(path: string): string {
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(1 << 16);
    return buffer.toString('utf8', 0, readSync(fd, buffer));
  } catch {
    return ''; // EAGAIN: nothing
  } finally {
    closeSync(fd);
  }
}

/** The runtime's last line without its log dressing; runc writes `time=… level=error msg="…"`, crun `[…] message`. */
export function cleanMessage(text: string): string {
  const last =
    text
      .trim()
      .split('\n')
      .findLast((line) => line.trim() !== '') ?? '';
  const message = /msg="((?:[^"\\]|\\.)*)"/.exec(last)?.[1];
  if (message !== undefined) return message.replaceAll(/\\(.)/g, '$1');
  return last.replace(/^(runc|crun)[^:]*: /, '');
}
