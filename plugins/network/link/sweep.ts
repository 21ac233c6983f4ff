/** Removes links that carry our names and that no driver's record knows: what a crash left between kernel and record. */
import { listLinks } from '../../linux/netlink/link.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { containerEndName, isOurLink } from './names.ts';
import type { LinkRemover } from './removal.ts';

interface Log {
  info(fields: object, message: string): void;
}

/** `known`: names of bridges and host ends of all drivers. Resolves when the others are gone. */
export async function sweepLinks(
  socket: RouteSocket,
  known: ReadonlySet<string>,
  remover: LinkRemover,
  log: Log,
): Promise<string[]> {
  const strays = findStrays(socket, known);
  if (strays.length > 0) log.info({ links: strays }, 'links that no record knows are removed');
  await Promise.all(strays.map((name) => remover.remove(name)));
  return strays;
}

export function findStrays(socket: RouteSocket, known: ReadonlySet<string>): string[] {
  return listLinks(socket)
    .filter((link) => isOurLink(link) && !known.has(link.name) && !isKnownContainerEnd(link.name, known))
    .map(({ name }) => name);
}

/** The container end is in our namespace before the engine takes it and after it gives it back. */
function isKnownContainerEnd(name: string, known: ReadonlySet<string>): boolean {
  return name.endsWith('c') && known.has(name.slice(0, -1)) && name === containerEndName(name.slice(2, -1));
}
