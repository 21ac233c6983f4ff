/**
 * A process that goes on after us: started once, found again by its record, stopped on request.
 *
 *     FOLDER/NAME.pid   its number and start time, so that a later process with the same number is not taken for it
 *     FOLDER/NAME.log   its output
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface Background {
  readonly folder: string;
  readonly name: string;
}

export interface BackgroundStart {
  readonly file: string;
  readonly args: readonly string[];
  /** True once it does its work. */
  readonly ready: () => Promise<boolean>;
  /** How long that may take; default 30 s. */
  readonly timeoutMs?: number;
}

/** Starts it and waits until it is ready; throws with the end of its log when it ends or takes too long. */
export async function startBackground(what: Background, start: BackgroundStart): Promise<void> {
  // Already there from an earlier, interrupted run: only wait for it.
  const ended = findBackground(what) === undefined ? spawnBackground(what, start) : () => undefined;
  const end = performance.now() + (start.timeoutMs ?? 30_000);
  while (!(await start.ready())) {
    const problem = ended();
    if (problem !== undefined) throw new Error(`${what.name} did not start: ${problem}\n${tailOf(what)}`);
    if (performance.now() > end)
      throw new Error(`${what.name} is not ready after ${start.timeoutMs ?? 30_000} ms\n${tailOf(what)}`);
    await delay(50);
  }
}

/** Returns a function that says how it ended, if it has. */
function spawnBackground(what: Background, start: BackgroundStart): () => string | undefined {
  mkdirSync(what.folder, { recursive: true, mode: 0o700 });
  const log = openSync(logOf(what), 'w');
  const child = spawn(start.file, start.args, { detached: true, stdio: ['ignore', log, log], cwd: '/' });
  closeSync(log);
  let ended: string | undefined;
  child.once('error', (error) => {
    ended = error.message;
  });
  child.once('exit', (code, signal) => {
    ended = `it ended with ${signal ?? code}`;
  });
  child.unref();
  if (child.pid !== undefined) writeFileSync(pidFileOf(what), `${child.pid} ${startTime(child.pid)}\n`);
  return () => ended;
}

/** Its number while it runs. */
export function findBackground(what: Background): number | undefined {
  if (!existsSync(pidFileOf(what))) return undefined;
  const [pid, started] = readFileSync(pidFileOf(what), 'utf8').trim().split(' ');
  return startTime(Number(pid)) === started ? Number(pid) : undefined;
}

/** SIGTERM, and SIGKILL after 20 s; true when there was one to stop. */
export async function stopBackground(what: Background): Promise<boolean> {
  const pid = findBackground(what);
  if (pid !== undefined) {
    process.kill(pid, 'SIGTERM');
    const end = performance.now() + 20_000;
    while (findBackground(what) !== undefined) {
      if (performance.now() > end) process.kill(pid, 'SIGKILL');
      await delay(50);
    }
  }
  rmSync(pidFileOf(what), { force: true });
  return pid !== undefined;
}

export function tailOf(what: Background): string {
  if (!existsSync(logOf(what))) return '';
  return readFileSync(logOf(what), 'utf8').trim().split('\n').slice(-12).join('\n');
}

export function logOf(what: Background): string {
  return join(what.folder, `${what.name}.log`);
}

function pidFileOf(what: Background): string {
  return join(what.folder, `${what.name}.pid`);
}

/** Field 22 of /proc/PID/stat; undefined for a process that is gone or only waits to be reaped. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
