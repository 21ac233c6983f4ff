/** A log driver in 50 lines: one file of frames a container, which `docker logs` reads back. `docker run --log-driver example-log …` */
import { EventEmitter, once } from 'node:events';
import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { type LogDriver, LogFrameBatch, LogFrameDecoder, listenPlugin } from '../index.ts'; // 'cleat/sdk' in a package of your own

const [pluginDir = '/run/docker/plugins', folder = '/var/log/example-log'] = process.argv.slice(2);
const fileOf = (containerId: string) => join(folder, `${containerId}.frames`);
const changed = new EventEmitter().setMaxListeners(0);
const open = new Map<string, number>();

const log: LogDriver = {
  capabilities: { readLogs: true },
  async startLogging({ file, info: { containerId } }) {
    // The engine holds the FIFO open, so this returns at once; opened for writing as well, it would never end.
    const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const fifo = new Socket({ fd, readable: true, writable: false });
    const out = openSync(fileOf(containerId), 'a'); // Never truncate: `docker logs` of a stopped container opens a session too.
    open.set(containerId, (open.get(containerId) ?? 0) + 1);
    const batch = new LogFrameBatch();
    const decoder = new LogFrameDecoder((frame) => {
      const entry = frame.toLogEntry();
      batch.add(entry, !entry.partial || entry.partialLogMetadata?.last); // Engines print lines as they come back: add the newline.
    });
    fifo.on('data', (chunk: Buffer) => {
      decoder.push(chunk);
      writeSync(out, batch.take());
      changed.emit(containerId);
    });
    fifo.once('close', () => {
      closeSync(out);
      open.set(containerId, (open.get(containerId) ?? 1) - 1);
      changed.emit(containerId);
    });
    fifo.on('error', () => fifo.destroy());
  },
  stopLogging: async () => undefined, // The FIFO ends after this answer, with entries still in it.
  async *readLogs({ info: { containerId }, config: { tail, follow } }, signal) {
    const frames: Buffer[] = [];
    const decoder = new LogFrameDecoder((frame) =>
      frames.push(Buffer.from(frame.buffer.subarray(frame.frameStart, frame.frameEnd))),
    );
    for (let at = 0, first = true; ; first = false) {
      const running = follow && (open.get(containerId) ?? 0) > 0; // Asked before the file is read: nothing is missed.
      const more = running ? once(changed, containerId, { signal }) : undefined;
      more?.catch(() => undefined); // The reader left.
      const bytes = existsSync(fileOf(containerId)) ? readFileSync(fileOf(containerId)).subarray(at) : Buffer.alloc(0);
      decoder.push(bytes);
      at += bytes.length;
      const read = frames.splice(0);
      yield Buffer.concat(first && tail !== undefined ? read.slice(Math.max(0, read.length - tail)) : read);
      if (more === undefined) return;
      await more;
    }
  },
};

mkdirSync(folder, { recursive: true });
const listening = await listenPlugin({ name: 'example-log', log }, { pluginDir });
process.once('SIGTERM', () => void listening.close());
