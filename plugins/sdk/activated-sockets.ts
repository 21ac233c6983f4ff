/**
 * Sockets that systemd opened before the daemon started, sd_listen_fds(3): file descriptors from 3 on, LISTEN_FDS of them,
 * meant for this process when LISTEN_PID is its own. A socket is recognised by the path it is bound to, which
 * /proc/net/unix tells; the environment is read once and removed, so that children do not take it for theirs.
 */
import { readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** SD_LISTEN_FDS_START, <systemd/sd-daemon.h>. */
const FIRST_FD = 3;

let sockets: Map<string, number> | undefined;

/** The file descriptor of the socket bound to the path, handed out once; undefined when systemd opened none for it. */
export function takeActivatedSocket(path: string): number | undefined {
  sockets ??= readActivatedSockets();
  if (sockets.size === 0) return undefined;
  const wanted = realSocketPath(path);
  const fd = sockets.get(wanted);
  sockets.delete(wanted);
  return fd;
}

function readActivatedSockets(): Map<string, number> {
  const { LISTEN_PID, LISTEN_FDS } = process.env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete process.env[name];
  const count = Number(LISTEN_FDS ?? 0);
  if (Number(LISTEN_PID) !== process.pid || !Number.isInteger(count) || count <= 0) return new Map();
  const paths = boundPaths();
  const found = new Map<string, number>();
  for (let fd = FIRST_FD; fd < FIRST_FD + count; fd += 1) {
    const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
    const path = inode === undefined ? undefined : paths.get(inode);
    if (path !== undefined) found.set(realSocketPath(path), fd);
  }
  return found;
}

/** inode → path, from lines of `Num: RefCount Protocol Flags Type St Inode Path`; see proc_net(5). */
function boundPaths(): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of readFileSync('/proc/net/unix', 'utf8').split('\n')) {
    const [, inode, path] = /^\S+: \S+ \S+ \S+ \S+ \S+ +(\d+) (\/.*)$/.exec(line) ?? [];
    if (inode !== undefined && path !== undefined) paths.set(inode, path);
  }
  return paths;
}

/** /var/run is a link to /run: the same socket has two spellings. */
function realSocketPath(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}
