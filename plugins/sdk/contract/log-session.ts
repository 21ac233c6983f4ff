/** The engine's side of one log session: the FIFO it makes, holds open and writes. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PluginClient } from '../client.ts';
import type { LogEntry, LogInfo } from '../log-plugin.ts';
import { encodeLogFrame } from '../protocol/log-frame-encoder.ts';

export interface Fifo {
  readonly file: string;
  readonly fd: number;
  close(): void;
}

/** A pipe that is still full then is not being read. */
const FULL_LIMIT_MS = 30_000;

export class LogSession {
  readonly #client: PluginClient;
  readonly #fifo: Fifo;

  private constructor(client: PluginClient, fifo: Fifo) {
    this.#client = client;
    this.#fifo = fifo;
  }

  /** Open for reading and writing, as the engine has it: opening it for reading returns at once. */
  static async makeFifo(): Promise<Fifo> {
    const folder = mkdtempSync(join(tmpdir(), 'cleat-contract-'));
    const file = join(folder, randomBytes(32).toString('hex'));
    await promisify(execFile)('mkfifo', ['-m', '0700', file]);
    const fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
    const close = () => {
      closeSync(fd);
      rmSync(folder, { recursive: true, force: true });
    };
    return { file, fd, close };
  }

  static async start(client: PluginClient, info: LogInfo): Promise<LogSession> {
    const fifo = await LogSession.makeFifo();
    try {
      await client.log.capabilities();
      await client.log.startLogging({ file: fifo.file, info });
    } catch (error) {
      fifo.close();
      throw error;
    }
    return new LogSession(client, fifo);
  }

  get file(): string {
    return this.#fifo.file;
  }

  /** A few entries, which fit into the pipe. */
  write(entry: LogEntry): void {
    const frame = encodeLogFrame(entry);
    const written = writeSync(this.#fifo.fd, frame);
    if (written < frame.length) throw new Error('the FIFO is full: the plugin does not read it');
  }

  /** Waits while the pipe is full. */
  async writeAll(entry: LogEntry): Promise<void> {
    const frame = encodeLogFrame(entry);
    const deadline = performance.now() + FULL_LIMIT_MS;
    // Frames here are below 4096 bytes, so a write takes all of one or nothing, pipe(7).
    for (;;) {
      try {
        writeSync(this.#fifo.fd, frame);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        if (performance.now() > deadline) throw new Error('the FIFO stayed full: the plugin does not read it');
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
  }

  /** The engine's order: StopLogging, its reply, then the end of the FIFO. */
  async stop(): Promise<void> {
    try {
      await this.#client.log.stopLogging({ file: this.#fifo.file });
    } finally {
      this.#fifo.close();
    }
  }
}
