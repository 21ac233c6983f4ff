/** A log driver in 40 lines: one file of frames a container, which `docker logs` reads back. `docker run --log-driver example-log …` */
import { EventEmitter, once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LogDriver, LogFrameBatch, openLogFifo, runPlugin, splitLogFrames } from '../index.ts'; // 'cleat/sdk' in a package of your own

const [pluginDir = '/run/docker/plugins', folder = '/var/log/example-log'] = process.argv.slice(2);
const fileOf = (containerId: string) => join(folder, `${containerId}.frames`);
const changed = new EventEmitter().setMaxListeners(0);
const sessions = new Map<string, number>();

async function record(containerId: string, fifo: ReturnType<typeof openLogFifo>) {
  sessions.set(containerId, (sessions.get(containerId) ?? 0) + 1);
  const batch = new LogFrameBatch();
  for await (const entries of fifo) {
    // Engines print lines as they come back: whole ones, and the last pieces of long ones, need their newline.
    for (const entry of entries) batch.add(entry, !entry.partial || entry.partialLogMetadata?.last);
    appendFileSync(fileOf(containerId), batch.take()); // Never truncate: `docker logs` of a stopped container opens a session too.
    changed.emit(containerId);
  }
  sessions.set(containerId, (sessions.get(containerId) ?? 1) - 1);
  changed.emit(containerId);
}

const log: LogDriver = {
  // Opened before the answer. It ends some time after StopLogging, with entries still in it.
  startLogging: async ({ file, info }) => void record(info.containerId, openLogFifo(file)),
  async *readLogs({ info: { containerId }, config: { tail, follow } }, signal) {
    for (let sent = -1; ; ) {
      const running = follow && (sessions.get(containerId) ?? 0) > 0; // Asked before the file is read: nothing is missed.
      const more = running ? once(changed, containerId, { signal }) : undefined;
      more?.catch(() => undefined); // The reader left.
      const frames = existsSync(fileOf(containerId)) ? splitLogFrames(readFileSync(fileOf(containerId))) : [];
      yield Buffer.concat(frames.slice(sent < 0 ? Math.max(0, frames.length - (tail ?? Infinity)) : sent));
      if (more === undefined) return;
      sent = frames.length;
      await more;
    }
  },
};

mkdirSync(folder, { recursive: true });
await runPlugin({ name: 'example-log', log }, { pluginDir });
