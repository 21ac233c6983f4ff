/** lab/log-receiver.ts in a host: what came to it, byte by byte, and over which connection. */
import { closeSync, fstatSync, openSync, readSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './deadline.ts';
import type { Host } from './host.ts';
import type { HostProcess } from './process.ts';

const script = fileURLToPath(new URL('../../lab/log-receiver.ts', import.meta.url));
const node = fileURLToPath(new URL('../../bin/node', import.meta.url));

export interface Arrival {
  /** `tcp:5150`: the place without what follows the port. */
  readonly at: string;
  readonly data: Buffer;
  /** Another number for each connection; absent for datagrams. */
  readonly connection: number | undefined;
  /** The common name of the client's certificate. */
  readonly peer: string | undefined;
}

export interface LogReceiver {
  /** Everything that came, over restarts, in order. */
  arrivals(): readonly Arrival[];
  /** The same as one text. */
  text(): string;
  start(...places: readonly string[]): Promise<void>;
  /** SIGKILL; what the kernel had taken for it is lost. */
  kill(): Promise<void>;
}

let receivers = 0;
const perStart = 1_000_000;

export function logReceiver(host: Host): LogReceiver {
  const out = join(host.dir, `received-${++receivers}.jsonl`);
  writeFileSync(out, '');
  let process: HostProcess | undefined;
  const arrivals: Arrival[] = [];
  let text = '';
  let offset = 0;
  let starts = 0;
  const readOn = (): void => {
    const fd = openSync(out, 'r');
    const buffer = Buffer.alloc(fstatSync(fd).size - offset);
    const read = readSync(fd, buffer, 0, buffer.length, offset);
    closeSync(fd);
    const end = buffer.lastIndexOf('\n', read - 1) + 1;
    offset += end;
    for (const line of buffer.toString('latin1', 0, end).split('\n').slice(0, -1)) {
      const { at, hex, connection, peer } = JSON.parse(line) as {
        at: string;
        hex: string;
        connection?: number;
        peer?: string;
      };
      const data = Buffer.from(hex, 'hex');
      arrivals.push({ at, data, connection: connection && starts * perStart + connection, peer });
      text += data.toString();
    }
  };
  return {
    arrivals() {
      readOn();
      return arrivals;
    },
    text() {
      readOn();
      return text;
    },
    async start(...places) {
      readOn();
      // A line that the last one was killed in is nothing that it had.
      truncateSync(out, offset);
      starts += 1;
      const started = host.start(node, [script, out, ...places]);
      process = started;
      await eventually('the receiver listens', () => {
        if (!started.running()) throw new Error(started.output());
        return started.output().includes('ready');
      });
    },
    async kill() {
      await process?.kill();
    },
  };
}
