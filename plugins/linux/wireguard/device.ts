/**
 * WireGuard devices: the kernel's own (wg(8), configured by generic netlink) or those of wireguard-go, a process that has the
 * other end of a TUN device (configured over its socket). Both are made, read and changed here in the same words.
 */
import { isKernelError } from '../errors.ts';
import { changeLink, createLink, deleteLink, findLink } from '../netlink/link.ts';
import type { RouteSocket } from '../netlink/route-socket.ts';
import { changeKernelDevice, readKernelDevice } from './kernel.ts';
import type { DeviceChange, WireguardDevice, WireguardKind } from './model.ts';
import { changeUserDevice, readUserDevice, startUserDevice } from './userspace.ts';

/**
 * Creates the device, down and without keys, in the caller's namespace; the one that is there is kept. With the kernel's own
 * WireGuard, else by starting wireguard-go, which lives on when this process ends. Throws NoWireguardError and KernelError.
 */
export async function ensureWireguard(socket: RouteSocket, name: string): Promise<WireguardKind> {
  const found = findLink(socket, name);
  if (found?.kind === 'wireguard') return 'kernel';
  // A TUN device without its process is a leftover that nobody answers for.
  if (found && (await answers(name))) return 'wireguard-go';
  if (found) socket.apply(deleteLink(name));
  try {
    socket.apply(createLink({ kind: 'wireguard', name }));
    return 'kernel';
  } catch (error) {
    if (!isKernelError(error, 'EOPNOTSUPP')) throw error;
  }
  await startUserDevice(name);
  return 'wireguard-go';
}

/** Ends wireguard-go too, which goes with its link. Nothing when it is not there. */
export function removeWireguard(socket: RouteSocket, name: string): void {
  for (const error of socket.attempt([changeLink(name, { up: false }), deleteLink(name)]))
    if (error && !isKernelError(error, 'ENODEV')) throw error;
}

/** Throws when it is not there or does not answer. */
export function readWireguard(kind: WireguardKind, name: string): Promise<WireguardDevice> {
  return kind === 'kernel' ? Promise.resolve().then(() => readKernelDevice(name)) : readUserDevice(name);
}

export async function changeWireguard(kind: WireguardKind, name: string, change: DeviceChange): Promise<void> {
  if (kind === 'kernel') changeKernelDevice(name, change);
  else await changeUserDevice(name, change);
}

async function answers(name: string): Promise<boolean> {
  try {
    await readUserDevice(name);
    return true;
  } catch {
    return false;
  }
}
