/**
 * The FIFO of one logging session as entries. For drivers that keep up without care for every microsecond; those that must
 * not lose a line when they are killed read it themselves (plugins/log).
 */
import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { LogEntry } from './log-plugin.ts';
import { LogFrameDecoder } from './protocol/log-frame-decoder.ts';

/**
 * Opens the FIFO now, and yields what comes, as many entries at once as were there. Ends when the engine has closed its end.
 * Throws what `fs` throws. Read it at once: an engine whose FIFO is full holds up the container.
 */
export function openLogFifo(file: string): AsyncIterable<readonly LogEntry[]> {
  // The engine holds the FIFO open, so this returns at once; opened for writing as well, it would never end.
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  // A socket waits on the event loop; a file stream would block one of the few threads that all files share.
  return readEntries(new Socket({ fd, readable: true, writable: false }));
}

async function* readEntries(fifo: Socket): AsyncGenerator<readonly LogEntry[]> {
  let entries: LogEntry[] = [];
  const decoder = new LogFrameDecoder((frame) => entries.push(frame.toLogEntry()));
  for await (const chunk of fifo) {
    decoder.push(chunk);
    if (entries.length > 0) yield entries;
    entries = [];
  }
}
