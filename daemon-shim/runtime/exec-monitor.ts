/**
 * One conmon for each exec session: it runs `exec` of the OCI runtime in a container and reports the pid and, later, the exit
 * code through its pipe to us. Its folder holds what a container's bundle holds: FIFOs, or `attach` and `ctl` of a terminal.
 *
 * With a terminal conmon waits until we are attached (`--exec-attach`, two bytes through the start pipe), so no output is lost.
 */
import { join } from 'node:path';
import { type Child, openPipe, type Pipe } from '../../plugins/linux/child.ts';
import { closeFd } from '../../plugins/linux/syscall.ts';
import { type ContainerStdio, cleanMessage, firstReport, RuntimeError, readLeft, startMonitor } from './monitor.ts';
import type { OciRuntime } from './oci-runtime.ts';
import { SyncPipe } from './sync-pipe.ts';

export interface ExecMonitorOptions {
  readonly containerId: string;
  readonly execId: string;
  /** The session's folder, with process.json. */
  readonly folder: string;
  readonly runtime: OciRuntime;
  readonly terminal: boolean;
  /** Needed unless `terminal`. */
  readonly stdio?: ContainerStdio;
  /** Called before the process runs, once `attach` can be connected to; only with `terminal`. */
  readonly onAttachable?: () => void;
  readonly timeoutMs: number;
}

export interface RunningExec {
  readonly pid: number;
  /** Undefined when the monitor was killed and cannot tell. */
  readonly exitCode: Promise<number | undefined>;
}

/** Throws RuntimeError with the runtime's words. */
export async function execUnderMonitor(options: ExecMonitorOptions): Promise<RunningExec> {
  const { folder, terminal, stdio, timeoutMs } = options;
  const handshake = terminal ? { start: openPipe('write'), attached: openPipe('read') } : undefined;
  const theirs = handshake ? [handshake.start.theirs, handshake.attached.theirs] : [];
  let started: ReturnType<typeof startMonitor>;
  try {
    started = startMonitor(execArgs(options), {
      descriptors: [stdio?.stdin ?? 'ignore', stdio?.stdout ?? 'ignore', stdio?.stderr ?? 'ignore'],
      more: theirs,
      ...(terminal ? { env: { _OCI_STARTPIPE: '4', _OCI_ATTACHPIPE: '5' } } : {}),
    });
  } catch (error) {
    handshake?.start.ours.destroy();
    handshake?.attached.ours.destroy();
    throw error;
  } finally {
    theirs.forEach(closeFd);
  }
  const { child, pipe } = started;
  try {
    if (handshake) await attachFirst(child, handshake, options);
    const report = await firstReport(pipe, child, timeoutMs);
    if (report === undefined || report.data <= 0) {
      const words = report?.message ?? (stdio === undefined ? '' : readLeft(join(folder, 'stderr')));
      throw new RuntimeError(cleanMessage(words || 'conmon ended without an answer'));
    }
    const exitCode = pipe.next().then((last) => {
      pipe.close();
      return last?.data;
    });
    return { pid: report.data, exitCode };
  } catch (error) {
    pipe.close();
    throw error;
  }
}

/** The first byte lets conmon set up its socket, the second lets it run the process. */
async function attachFirst(
  child: Child,
  { start, attached }: { readonly start: Pipe; readonly attached: Pipe },
  options: ExecMonitorOptions,
): Promise<void> {
  const attach = new SyncPipe(attached.ours);
  start.ours.on('error', () => {}); // conmon is gone: the report says so
  try {
    start.ours.write('\0');
    const ready = await firstReport(attach, child, options.timeoutMs);
    if (ready !== undefined) options.onAttachable?.();
    start.ours.end('\0');
  } finally {
    attach.close();
  }
}

function execArgs({ containerId, execId, folder, runtime, terminal }: ExecMonitorOptions): string[] {
  return [
    ...['--api-version', '1', '--cid', containerId, '--cuuid', execId, '--name', containerId],
    ...['--runtime', runtime.path, '--bundle', folder, '--exec', '--exec-process-spec', join(folder, 'process.json')],
    ...['--container-pidfile', join(folder, 'pid'), '--conmon-pidfile', join(folder, 'monitor.pid')],
    ...['--full-attach', '--log-level', 'warning', '--no-sync-log'],
    ...runtime.globalArgs.flatMap((arg) => ['--runtime-arg', arg]),
    ...(terminal
      ? ['--terminal', '--stdin', '--leave-stdin-open', '--exec-attach', '--log-path', 'none:']
      : ['--log-path', 'passthrough']),
  ];
}
