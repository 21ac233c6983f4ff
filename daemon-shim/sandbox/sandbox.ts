/**
 * A container's network namespace: made before the container, filled by its endpoints, gone after it.
 *
 *     EXEC_ROOT/netns/ID[0..12]     the namespace's name on disk; the sandbox key that plugins are told
 */
import { join } from 'node:path';
import { isKernelError } from '../../plugins/linux/errors.ts';
import { changeLink } from '../../plugins/linux/netlink/link.ts';
import { RouteSocket } from '../../plugins/linux/netlink/route-socket.ts';
import { createNetns, deleteNetns, openNetns } from '../../plugins/linux/netns.ts';
import type { ShimConfig } from '../config/config.ts';

export function sandboxKey(config: ShimConfig, containerId: string): string {
  return join(config.execRoot, 'netns', containerId.slice(0, 12));
}

/** A namespace with its loopback up; one that an earlier run left is taken away first. */
export function createSandbox(key: string): void {
  try {
    createNetns(key).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' && !isKernelError(error, 'EEXIST')) throw error;
    deleteNetns(key);
    createNetns(key).close();
  }
  using netns = openNetns(key);
  using socket = new RouteSocket(netns);
  socket.apply(changeLink('lo', { up: true }));
}

/** Success when there is none. */
export function deleteSandbox(key: string): void {
  deleteNetns(key);
}
