/**
 * Keeps FIFOs open while nobody else does: what a container wrote last is in the pipe, and would be lost with its last
 * opener when the container ends while the shim is away. The holder is a `sleep` (0.5 MB) that outlives the shim; its pid is
 * in a file beside the FIFOs.
 */
import { readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Child, startChild } from '../../plugins/linux/child.ts';
import { readProcesses } from './process-list.ts';

/** The holder's file; several may stand in one folder. */
export type HolderName = (typeof holderNames)[number];

const holderNames = ['output.holder', 'stdin.holder'] as const;
const program = ['sleep', 'infinity'] as const;

/** The descriptors become the holder's standard output and error; they stay the caller's to close. */
export function holdOpen(bundle: string, name: HolderName, fds: readonly [number, number?]): void {
  let holder: Child;
  try {
    const descriptors = ['ignore', fds[0], fds[1] ?? 'ignore'] as const;
    holder = startChild(program[0], [program[1]], { env: {}, cwd: '/', descriptors, session: true });
  } catch {
    return; // without `sleep` nothing is held; the container works all the same
  }
  holder.unref();
  writeFileSync(join(bundle, name), String(holder.pid), { mode: 0o600 });
}

/** Success when there is none. */
export function endHolder(bundle: string, name: HolderName): void {
  const file = join(bundle, name);
  const pid = readPid(file);
  if (pid !== undefined) end(pid);
  rmSync(file, { force: true });
}

function readPid(file: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10);
  } catch {
    return undefined;
  }
}

/** The pid may be somebody else's by now: ours is a sleep. */
function end(pid: number): void {
  try {
    if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === program[0]) process.kill(pid, 'SIGKILL');
  } catch {
    // gone already
  }
}

/** Those that no file names: the shim that started one was killed before it wrote the file. `folder` has the bundles. */
export function endLostHolders(folder: string): void {
  for (const { pid, arguments: given } of readProcesses()) {
    if (given.join(' ') !== program.join(' ')) continue;
    const bundle = heldBundle(pid);
    if (bundle === undefined || dirname(bundle) !== folder) continue;
    if (!holderNames.some((name) => readPid(join(bundle, name)) === pid)) end(pid);
  }
}

/** Of a holder, not of a container's own `sleep`, which is in a mount namespace of its own. */
function heldBundle(pid: number): string | undefined {
  try {
    if (readlinkSync(`/proc/${pid}/ns/mnt`) !== readlinkSync('/proc/self/ns/mnt')) return undefined;
    return dirname(readlinkSync(`/proc/${pid}/fd/1`));
  } catch {
    return undefined; // it has just ended
  }
}
