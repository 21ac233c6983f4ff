/**
 * libnftables waits with select(2), which takes descriptors below FD_SETSIZE (1024) and ends the process otherwise. A daemon
 * with some hundred sandboxes has more, so a few low numbers are kept for its sockets from the start.
 */
import { closeSync, openSync, readlinkSync } from 'node:fs';

/** <sys/select.h> */
export const FD_SETSIZE = 1024;
const wanted = 4;
const kept: number[] = [];

/** Keeps low numbers as far as there are any. */
export function keepLowDescriptors(): void {
  while (kept.length < wanted) {
    const fd = openSync('/dev/null', 'r');
    if (fd >= FD_SETSIZE) {
      closeSync(fd);
      return;
    }
    kept.push(fd);
  }
}

/**
 * Runs something that opens one socket, with a low number free for it. `fd` is that number when the socket is there;
 * undefined when another thread took it in the same moment.
 */
export function openLow<T>(open: () => T): { readonly value: T; readonly fd: number | undefined } {
  keepLowDescriptors();
  // The kernel gives out the lowest free number.
  kept.sort((a, b) => b - a);
  const fd = kept.pop();
  if (fd !== undefined) closeSync(fd);
  const value = open();
  return { value, fd: fd !== undefined && isSocket(fd) ? fd : undefined };
}

function isSocket(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
  } catch {
    return false;
  }
}
