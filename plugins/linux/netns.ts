/**
 * Network namespaces: the only file that enters one.
 *
 * A namespace belongs to a thread. `inNetns` moves the calling thread (Node's main thread) there, runs a function and moves
 * back, all without giving up the thread, so that no other code of the process ever runs in the wrong place:
 *
 * - the function must be synchronous: no await, no promise, no callback that runs later;
 * - a socket, or a child process started by it, belongs to that namespace for ever; `fs.*Sync` reads its /proc/sys/net and
 *   /proc/thread-self/net, because those calls run on the calling thread;
 * - pool threads (libuv's and koffi's `.async`) stay at home: the pool is started by this module, before the first visit,
 *   since a thread inherits the namespace of the thread that starts it;
 * - if the way back fails the process aborts: to go on in a stranger's network stack would be worse.
 *
 * A visit costs 4 us.
 */
import { closeSync, constants, type Dirent, fstatSync, mkdirSync, openSync, readdirSync, rmSync, stat } from 'node:fs';
import { dirname } from 'node:path';
import { isKernelError } from './errors.ts';
import { CLONE_NEWNET, check, libc, MNT_DETACH, MS_BIND, MS_REC, MS_SHARED } from './syscall.ts';

const ownPath = '/proc/thread-self/ns/net';
const ownFd = openSync(ownPath, 'r');
let currentFd = ownFd;
// Starts libuv's pool of threads while this thread is at home.
stat('/', () => {});

/** An open network namespace: it lives as long as this is open, even without processes or names. The opener closes it. */
export class Netns {
  /** Where it was opened; for messages. */
  readonly path: string;
  readonly fd: number;
  #open = true;

  constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
  }

  /** `dev:ino`, the same for every path and descriptor of one namespace while it exists. */
  get id(): string {
    return statId(fstatSync(this.fd, { bigint: true }));
  }

  /** A descriptor of its own, for what outlives the opener's. */
  duplicate(): Netns {
    return new Netns(this.path, openSync(`/proc/self/fd/${this.fd}`, 'r'));
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Opens /run/netns/NAME, /proc/PID/ns/net, an engine's sandbox key. Throws ENOENT as fs does, EINVAL when it is no namespace. */
export function openNetns(path: string): Netns {
  // Without blocking: the path may come from elsewhere, and opening a FIFO would wait for a writer.
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    // A file that is no network namespace is refused here rather than in the first visit.
    check(libc.setns(fd, CLONE_NEWNET), 'setns', path);
    goTo(currentFd);
    return new Netns(path, fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The namespace that the process was started in. */
export function ownNetns(): Netns {
  return new Netns(ownPath, openSync(`/proc/self/fd/${ownFd}`, 'r'));
}

export function ownNetnsId(): string {
  return statId(fstatSync(ownFd, { bigint: true }));
}

/** Runs `fn` inside the namespace; see the rules above. Visits nest. */
export function inNetns<T>(netns: Netns, fn: () => T): T {
  const back = currentFd;
  check(libc.setns(netns.fd, CLONE_NEWNET), 'setns', netns.path);
  currentFd = netns.fd;
  let result: T;
  try {
    result = fn();
  } finally {
    goTo(back);
  }
  if (result instanceof Promise) throw new TypeError('a visit to a network namespace must be synchronous');
  return result;
}

/** A new namespace without a name; it ends with the descriptor and what else refers to it. `lo` is down. */
export function createAnonymousNetns(): Netns {
  return inNewNetns(() => new Netns('(anonymous)', openSync(ownPath, 'r')));
}

/**
 * A new namespace at `path` (a bind mount; its folder is made, and is shared as ip-netns(8) does, so that other mount
 * namespaces see the name). Throws EEXIST when the path is taken.
 */
export function createNetns(path: string): Netns {
  shareFolder(dirname(path));
  closeSync(openSync(path, 'wx', 0o444));
  try {
    inNewNetns(() => check(libc.mount(ownPath, path, null, MS_BIND, null), 'mount', `${ownPath} at ${path}`));
    return openNetns(path);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}

/** Takes the name away; the namespace ends when nothing else refers to it. Success when there is none. */
export function deleteNetns(path: string): void {
  try {
    check(libc.umount2(path, MNT_DETACH), 'umount2', path);
  } catch (error) {
    // EINVAL: a file left by a half-made namespace, where nothing is mounted.
    if (!isKernelError(error, 'ENOENT', 'EINVAL')) throw error;
  }
  rmSync(path, { force: true });
}

/** Names under a folder, by default those of ip-netns(8). */
export function listNetns(folder = '/run/netns'): string[] {
  let found: Dirent[];
  try {
    found = readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
  return found.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

function inNewNetns<T>(fn: () => T): T {
  const back = currentFd;
  check(libc.unshare(CLONE_NEWNET), 'unshare', 'CLONE_NEWNET');
  try {
    return fn();
  } finally {
    goTo(back);
  }
}

function goTo(fd: number): void {
  currentFd = fd;
  if (libc.setns(fd, CLONE_NEWNET) < 0) process.abort();
}

function shareFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  if (libc.mount('', folder, null, MS_SHARED | MS_REC, null) === 0) return;
  // EINVAL: not a mount point yet.
  check(libc.mount(folder, folder, null, MS_BIND | MS_REC, null), 'mount', `${folder} on itself`);
  check(libc.mount('', folder, null, MS_SHARED | MS_REC, null), 'mount', `${folder} shared`);
}

function statId({ dev, ino }: { dev: bigint; ino: bigint }): string {
  return `${dev}:${ino}`;
}
