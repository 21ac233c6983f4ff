/**
 * Starting a program by posix_spawn(3). Node's own `spawn` forks, which copies the page tables of the whole process and
 * blocks the event loop meanwhile: 4 ms of CPU at 60 MB, more as the process grows. Here the child borrows our memory until
 * its program runs: 0.4 ms whatever our size. It works in a visit to a network namespace too (netns.ts).
 *
 * The child gets the descriptors that are named and no others (ours are all close-on-exec), no blocked signals, and every
 * signal's default action.
 */

import { Socket } from 'node:net';
import { constants } from 'node:os';
import { errnoName, KernelError } from './errors.ts';
import { openPidfd } from './pidfd.ts';
import { check, closeFd, libc, O_CLOEXEC, O_RDWR, watchReadable } from './syscall.ts';

// <spawn.h>; the sizes are glibc's on 64-bit machines (336 and 80), with room to spare.
const attributesBytes = 512;
const fileActionsBytes = 256;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
const signalSetBytes = 128;

export interface ChildOptions {
  /** The whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Ours, by the child's number: [0] is its standard input. 'ignore' is /dev/null. They stay the caller's to close. */
  readonly descriptors: readonly (number | 'ignore')[];
  /** A session of its own: it outlives a terminal's hang-up. */
  readonly session?: boolean;
}

export interface ChildExit {
  /** Undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

export interface Child {
  readonly pid: number;
  /** Settles once the process has ended and is reaped; keeps the event loop alive until then, unless `unref` was called. */
  readonly exited: Promise<ChildExit>;
  /** Nothing happens when it has ended. */
  kill(signal: NodeJS.Signals): void;
  unref(): void;
}

/** The program is searched on our PATH unless it has a slash. Throws KernelError: ENOENT, EACCES, … */
export function startChild(file: string, args: readonly string[], options: ChildOptions): Child {
  const pid = spawnProcess(file, args, options);
  const pidfd = openPidfd(pid);
  const { promise: exited, resolve } = Promise.withResolvers<ChildExit>();
  let ended = false;
  const watcher = watchReadable(pidfd, () => {
    const status = new Int32Array(1);
    if (libc.waitpid(pid, status, 0) !== pid) return;
    ended = true;
    watcher.close();
    closeFd(pidfd);
    resolve(readStatus(status[0] ?? 0));
  });
  return {
    pid,
    exited,
    kill(signal) {
      // Not reaped yet, so the number is still this child's.
      if (!ended) process.kill(pid, signal);
    },
    unref: () => watcher.unref(),
  };
}

export interface Pipe {
  /** The child's end: to be closed when the child has it. */
  readonly theirs: number;
  /** Ours. Destroying it closes it. */
  readonly ours: Socket;
}

/** `read`: we read what the child writes; `write`: the other way round. */
export function openPipe(we: 'read' | 'write'): Pipe {
  const pair = new Int32Array(2);
  check(libc.pipe2(pair, O_CLOEXEC), 'pipe2');
  const [readEnd = -1, writeEnd = -1] = pair;
  return we === 'read'
    ? { theirs: writeEnd, ours: new Socket({ fd: readEnd, readable: true, writable: false }) }
    : { theirs: readEnd, ours: new Socket({ fd: writeEnd, readable: false, writable: true }) };
}

/** Whatever our process was told about signals is not the child's: Node ignores SIGPIPE, for one. */
// Not by sigfillset(3), which leaves out two that glibc would then have the child ignore.
const allSignals = Buffer.alloc(signalSetBytes, 0xff);
const noSignals = Buffer.alloc(signalSetBytes);

function spawnProcess(file: string, args: readonly string[], options: ChildOptions): number {
  const attributes = Buffer.alloc(attributesBytes);
  const actions = Buffer.alloc(fileActionsBytes);
  libc.posix_spawnattr_init(attributes);
  libc.posix_spawnattr_setflags(
    attributes,
    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | (options.session ? POSIX_SPAWN_SETSID : 0),
  );
  libc.posix_spawnattr_setsigdefault(attributes, allSignals);
  libc.posix_spawnattr_setsigmask(attributes, noSignals);
  libc.posix_spawn_file_actions_init(actions);
  try {
    options.descriptors.forEach((given, number) => {
      if (given === 'ignore') must(libc.posix_spawn_file_actions_addopen(actions, number, '/dev/null', O_RDWR, 0));
      else if (given < options.descriptors.length && given !== number)
        throw new TypeError(`descriptor ${given} would be overwritten before it becomes ${number}`);
      else must(libc.posix_spawn_file_actions_adddup2(actions, given, number));
    });
    if (options.cwd !== undefined) must(libc.posix_spawn_file_actions_addchdir(actions, options.cwd));
    const environment = Object.entries(options.env).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    );
    const pid = new Int32Array(1);
    const errno = libc.posix_spawnp(pid, file, actions, attributes, [file, ...args, null], [...environment, null]);
    if (errno !== 0) throw new KernelError({ errno, call: 'posix_spawn', args: file });
    return pid[0] as number;
  } finally {
    libc.posix_spawn_file_actions_destroy(actions);
  }
}

function must(errno: number): void {
  if (errno !== 0) throw new KernelError({ errno, call: 'posix_spawn_file_actions', detail: errnoName(errno) });
}

/** wait(2): the low seven bits are the signal, the next byte the exit code. */
function readStatus(status: number): ChildExit {
  const number = status & 0x7f;
  if (number === 0) return { code: (status >> 8) & 0xff, signal: undefined };
  const signal = Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
  return { code: undefined, signal: (signal ?? 'SIGKILL') as NodeJS.Signals };
}
