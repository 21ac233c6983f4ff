/**
 * Containers that write lines when they are told to, so that neither their start nor their end is measured.
 *
 *     bench ──go-N──► container N: cat LINES ──► engine ──FIFO──► plugin
 *           ◄──done──                               (FIFOs empty: the round is over)
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, readdirSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { libc } from '../../../plugins/linux/syscall.ts';
import type { Engine } from '../../../test/support/engine.ts';
import { timeMs } from './interleave.ts';

export interface LogWriters {
  /** All containers write once; lines a second until they are done and nothing is left in a log FIFO. */
  write(): Promise<number>;
  close(): Promise<void>;
}

export interface LogWritersOptions {
  readonly driver: string;
  readonly options: readonly string[];
  readonly count: number;
  readonly lineBytes: number;
  /** Of one container in one round. */
  readonly lines: number;
}

/** <asm/ioctls.h>: bytes that can be read. */
const FIONREAD = 0x541b;
const roundMs = 120_000;
let groups = 0;

export async function startLogWriters(engine: Engine, group: LogWritersOptions): Promise<LogWriters> {
  const { driver, options, count, lineBytes, lines } = group;
  const gate = join(engine.host.dir, `gate-${++groups}`);
  mkdirSync(gate);
  const names = Array.from({ length: count }, (_, index) => `go-${index}`);
  execFileSync(
    'mkfifo',
    [...names, 'done'].map((name) => join(gate, name)),
  );
  // Held open at both ends: nobody waits for the other side, and nothing is lost between two rounds.
  const open = (name: string): number => openSync(join(gate, name), constants.O_RDWR | constants.O_NONBLOCK);
  const go = names.map(open);
  const done = open('done');
  const text = 'abcdefghij'.repeat(Math.ceil(lineBytes / 10)).slice(0, lineBytes - 1);
  writeFileSync(join(gate, 'lines'), `${text}\n`.repeat(lines));
  const start = (name: string): Promise<string> =>
    engine
      .dockerWith(
        { timeoutMs: roundMs },
        ...['run', '-d', '--net', 'none', '-v', `${gate}:/gate`, '--log-driver', driver],
        ...options.flatMap((option) => ['--log-opt', option]),
        ...['busybox', 'sh', '-c'],
        `while read line </gate/${name}; do cat /gate/lines; echo >/gate/done; done`,
      )
      .then(({ stdout }) => stdout.trim());
  const ids = await Promise.all(names.map(start));
  return {
    async write() {
      const took = await timeMs(async () => {
        for (const fd of go) writeSync(fd, '\n');
        await said(done, count);
        await drained(engine);
      });
      return (count * lines) / (took / 1000);
    },
    async close() {
      for (const fd of [...go, done]) closeSync(fd);
      await engine.dockerWith({ timeoutMs: roundMs }, 'rm', '-f', ...ids);
    },
  };
}

async function said(fd: number, count: number): Promise<void> {
  const buffer = Buffer.alloc(256);
  const until = performance.now() + roundMs;
  for (let left = count; left > 0; ) {
    try {
      left -= readSync(fd, buffer, 0, Math.min(left, buffer.length), null);
    } catch {
      if (performance.now() > until) throw new Error(`${left} of ${count} containers have not written all their lines`);
      await pause(1);
    }
  }
}

async function drained(engine: Engine): Promise<void> {
  const folder = engine.host.path('/run/docker/logging');
  let fifos: string[];
  try {
    fifos = readdirSync(folder);
  } catch {
    return;
  }
  for (const name of fifos) {
    const fd = openSync(join(folder, name), constants.O_RDONLY | constants.O_NONBLOCK);
    const until = performance.now() + roundMs;
    while (bytesIn(fd) > 0 && performance.now() < until) await pause(1);
    closeSync(fd);
  }
}

function bytesIn(fd: number): number {
  const count = Buffer.alloc(4);
  return libc.ioctl(fd, FIONREAD, count) < 0 ? 0 : count.readInt32LE();
}
