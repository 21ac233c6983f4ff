/** A child process that cannot hang its parent: a process group of its own, a time limit, and what it printed. */
import { spawn } from 'node:child_process';

export interface Limited {
  readonly code: number | null;
  readonly output: string;
  readonly timedOut: boolean;
  readonly ms: number;
}

const groups = new Set<number>();
const maxOutput = 4 * 1024 * 1024;

/** Runs it to its end, or to the limit: then the whole group is killed. Never throws. */
export function runLimited(
  file: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly limitMs: number },
): Promise<Limited> {
  const begin = performance.now();
  const child = spawn(file, args, {
    cwd: options.cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', LC_ALL: 'C' },
  });
  let output = '';
  let timedOut = false;
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-maxOutput);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const { promise, resolve } = Promise.withResolvers<Limited>();
  const group = child.pid;
  if (group !== undefined) groups.add(group);
  const limit = setTimeout(() => {
    timedOut = true;
    killGroup(group);
  }, options.limitMs);
  let done = false;
  const end = (code: number | null): void => {
    if (done) return;
    done = true;
    clearTimeout(limit);
    // What the file started and left running in its group goes with it.
    killGroup(group);
    if (group !== undefined) groups.delete(group);
    child.stdout.destroy();
    child.stderr.destroy();
    resolve({ code, output, timedOut, ms: performance.now() - begin });
  };
  child.once('error', (error) => {
    output += error.message;
    end(127);
  });
  // 'close' waits for the pipes, which something left running may hold: a moment after 'exit' is enough.
  child.once('close', (code) => end(code));
  child.once('exit', (code) => setTimeout(end, 500, code));
  return promise;
}

/** Ends everything that is running now. */
export function killGroups(): void {
  for (const group of groups) killGroup(group);
}

function killGroup(group: number | undefined): void {
  if (group === undefined) return;
  try {
    process.kill(-group, 'SIGKILL');
  } catch {}
}
