/**
 * One log session: a FIFO from us to the log plugin, from startLogging to stopLogging.
 *
 *     EXEC_ROOT/logging/64 hex     held open for reading and writing by us, so a plugin that restarts loses nothing
 */
import { randomBytes } from 'node:crypto';
import { constants, mkdirSync, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { check, libc } from '../../plugins/linux/syscall.ts';
import { findSize, type LogClient, type LogInfo } from '../../plugins/sdk/index.ts';
import { LogFrameBatch } from '../../plugins/sdk/protocol/log-frame-encoder.ts';
import type { OutputListener } from '../runtime/output.ts';
import { LineCutter } from './line-cutter.ts';

const defaultBufferBytes = 1_000_000;
/** A plugin that reads nothing for so long at the end of a container keeps what it has not read. */
const drainMs = 10_000;

export interface LogSession {
  readonly file: string;
  /** The plugin said that it answers ReadLogs. */
  readonly isReadable: boolean;
  /** To be added to the container's output. */
  readonly listener: OutputListener;
  /** After the output's end: waits for the plugin to take what is left, tells it to stop, and removes the FIFO. */
  stop(): Promise<void>;
  /** The shim goes, the container stays: the FIFO is left to the plugin. */
  release(): void;
}

export function loggingFile(execRoot: string): string {
  return join(execRoot, 'logging', randomBytes(32).toString('hex'));
}

/** Throws what the plugin says. `file` is new for each session. */
export async function openLogSession(log: LogClient, file: string, info: LogInfo): Promise<LogSession> {
  mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 });
  check(libc.mkfifo(file, 0o700), 'mkfifo', file);
  const fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
  // Only written: whatever is in the pipe is the plugin's.
  const pipe = new Socket({ fd, readable: false, writable: true });
  pipe.on('error', () => pipe.destroy());
  let isReadable: boolean;
  try {
    isReadable = (await log.capabilities().catch(() => ({ readLogs: false }))).readLogs;
    await log.startLogging({ file, info });
  } catch (error) {
    pipe.destroy();
    rmSync(file, { force: true });
    throw error;
  }
  const { config } = info;
  const dropBytes =
    config['mode'] === 'non-blocking' ? (findSize(config['max-buffer-size'] ?? '') ?? defaultBufferBytes) : undefined;
  return {
    file,
    isReadable,
    listener: pipeListener(pipe, dropBytes),
    stop: async () => {
      await drained(pipe, drainMs);
      await log.stopLogging({ file });
      pipe.destroy();
      rmSync(file, { force: true });
    },
    release: () => pipe.destroy(),
  };
}

/** With `dropBytes`, entries that find so much waiting are dropped; without, the container waits. */
function pipeListener(pipe: Socket, dropBytes: number | undefined): OutputListener {
  const cutters = { stdout: new LineCutter('stdout'), stderr: new LineCutter('stderr') };
  const batch = new LogFrameBatch();
  const flush = (): Promise<void> | undefined => {
    if (batch.length === 0 || pipe.destroyed) return undefined;
    const frames = batch.take();
    if (dropBytes !== undefined && pipe.writableLength + frames.length > dropBytes) return undefined;
    return pipe.write(frames) || dropBytes !== undefined ? undefined : drained(pipe, undefined);
  };
  return {
    take: (stream, chunk) => {
      cutters[stream].cut(chunk, batch);
      return flush();
    },
    end: () => {
      cutters.stdout.end(batch);
      cutters.stderr.end(batch);
      void flush();
    },
  };
}

function drained(pipe: Socket, timeoutMs: number | undefined): Promise<void> {
  if (pipe.destroyed || pipe.writableLength === 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = timeoutMs === undefined ? undefined : setTimeout(done, timeoutMs);
    function done(): void {
      clearTimeout(timer);
      pipe.off('drain', look);
      pipe.off('close', done);
      resolve();
    }
    function look(): void {
      if (pipe.writableLength === 0) done();
    }
    pipe.on('drain', look);
    pipe.on('close', done);
  });
}
