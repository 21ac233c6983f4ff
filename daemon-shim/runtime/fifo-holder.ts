/**
 * Keeps FIFOs open while nobody else does: what a container wrote last is in the pipe, and would be lost with its last
 * opener when the container ends while the shim is away. The holder is a `sleep` (0.5 MB) that outlives the shim; its pid is
 * in a file beside the FIFOs.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, startChild } from '../../plugins/linux/child.ts';

/** The holder's file; several may stand in one folder. */
export type HolderName = 'output.holder' | 'stdin.holder';

/** The descriptors become the holder's standard output and error; they stay the caller's to close. */
export function holdOpen(bundle: string, name: HolderName, fds: readonly [number, number?]): void {
  let holder: Child;
  try {
    const descriptors = ['ignore', fds[0], fds[1] ?? 'ignore'] as const;
    holder = startChild('sleep', ['infinity'], { env: {}, cwd: '/', descriptors, session: true });
  } catch {
    return; // without `sleep` nothing is held; the container works all the same
  }
  holder.unref();
  writeFileSync(join(bundle, name), String(holder.pid), { mode: 0o600 });
}

/** Success when there is none. */
export function endHolder(bundle: string, name: HolderName): void {
  const file = join(bundle, name);
  try {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
    // The pid may be somebody else's by now: ours is a sleep.
    if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'sleep') process.kill(pid, 'SIGKILL');
  } catch {
    // gone already
  }
  rmSync(file, { force: true });
}
