/** One log session as an engine holds it: a FIFO that it keeps open for reading and writing, frames in, calls to the plugin. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { encodeLogFrame, LogFrameDecoder, PluginClient } from '../../plugins/sdk/index.ts';
import type { LogEntry, LogInfo, ReadConfig } from '../../plugins/sdk/log-plugin.ts';
import type { Daemon } from './daemon.ts';

export interface LogSession {
  readonly client: PluginClient;
  readonly info: LogInfo;
  /** The FIFO, the same path for the daemon. */
  readonly file: string;
  start(): Promise<void>;
  /** Lines on stdout with the present time; waits while the pipe is full. */
  write(...lines: readonly (string | Uint8Array)[]): Promise<void>;
  writeEntry(entry: LogEntry): Promise<void>;
  /** Bytes as they are. */
  writeRaw(bytes: Uint8Array): Promise<void>;
  /** StopLogging, then the engine's end is closed and the FIFO removed. Returns how long the answer took, in ms. */
  stop(): Promise<number>;
  /** As an engine that is killed: the end is closed, nothing is said. */
  vanish(): void;
  read(config?: Partial<ReadConfig>): Promise<LogEntry[]>;
  /** Lines of the log as text, without their newline. */
  lines(config?: Partial<ReadConfig>): Promise<string[]>;
}

export function logInfo(config: Readonly<Record<string, string>>, more: Partial<LogInfo> = {}): LogInfo {
  return {
    config,
    containerId: randomBytes(32).toString('hex'),
    containerName: '/logger',
    containerEntrypoint: 'sh',
    containerArgs: ['-c', 'true'],
    containerImageId: `sha256:${'4e3a'.repeat(16)}`,
    containerImageName: 'busybox:test',
    containerCreated: '2026-11-20T16:21:36.416671004Z',
    containerEnv: [],
    containerLabels: {},
    logPath: '',
    daemonName: 'docker',
    ...more,
  };
}

export function openLogSession(daemon: Daemon, driver: string, info: LogInfo): LogSession {
  const file = join(daemon.host.dir, `fifo-${randomBytes(8).toString('hex')}`);
  execFileSync('mkfifo', [file]);
  const fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
  const client = new PluginClient({ url: `unix://${daemon.socket(driver)}` });
  let open = true;
  const close = (): void => {
    if (open) closeSync(fd);
    open = false;
    client.close();
  };
  const session: LogSession = {
    client,
    info,
    file,
    start: () => client.log.startLogging({ file, info }),
    async write(...lines) {
      for (const line of lines) {
        await session.writeEntry({ source: 'stdout', timeNano: now(), line: Buffer.from(line), partial: false });
      }
    },
    writeEntry: (entry) => session.writeRaw(encodeLogFrame(entry)),
    async writeRaw(bytes) {
      for (let written = 0; written < bytes.length; ) {
        try {
          written += writeSync(fd, bytes, written);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
          await pause(1);
        }
      }
    },
    async stop() {
      const begin = performance.now();
      await client.log.stopLogging({ file });
      const took = performance.now() - begin;
      close();
      rmSync(file, { force: true });
      return took;
    },
    vanish: close,
    async read(config = {}) {
      const entries: LogEntry[] = [];
      const decoder = new LogFrameDecoder((frame) => entries.push(frame.toLogEntry()));
      const reader = new PluginClient({ url: `unix://${daemon.socket(driver)}` });
      for await (const chunk of reader.log.readLogs({ info, config: { follow: false, ...config } }))
        decoder.push(chunk);
      reader.close();
      return entries;
    },
    async lines(config) {
      return (await session.read(config)).map(({ line }) => Buffer.from(line).toString().replace(/\n$/, ''));
    },
  };
  return session;
}

function now(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}
