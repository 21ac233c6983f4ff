/**
 * Processes that took a port after it was published, where no socket of ours keeps them from it (see held-ports.ts): the
 * container goes on getting the connections, and the process none. Said once for each.
 */
import { type BoundSocket, describeSocketOwner, listBoundSockets } from '../../linux/bound-sockets.ts';
import type { Publisher } from './publisher.ts';

const intervalMs = 5000;

interface Log {
  warn(fields: object, message: string): void;
}

export function watchLateConflicts(publisher: Publisher, log: Log): { close(): void } {
  let said = new Set<string>();
  const timer = setInterval(() => {
    try {
      said = look(publisher, log, said);
    } catch (error) {
      log.warn({ err: error }, 'sockets of the host could not be compared with published ports');
    }
  }, intervalMs);
  timer.unref();
  return { close: () => clearInterval(timer) };
}

/** Answers the sockets that are in conflict now, so that a port that is taken again later is said again. */
function look(publisher: Publisher, log: Log, said: ReadonlySet<string>): Set<string> {
  const unheld = new Set(publisher.unheld().map(({ endpointId }) => endpointId));
  const found = new Set<string>();
  if (unheld.size === 0) return found;
  for (const protocol of ['tcp', 'udp'] as const) {
    for (const socket of listBoundSockets(protocol)) {
      if (publisher.isOwnSocket(socket)) continue;
      const holder = publisher.index.findHolder(protocol, [scopeOf(socket)], socket.port);
      if (!holder || !unheld.has(holder.owner)) continue;
      found.add(socket.inode);
      if (said.has(socket.inode)) continue;
      const owner = describeSocketOwner(socket);
      log.warn(
        { endpoint: holder.owner, protocol, port: socket.port, process: owner },
        'a process listens on a published port; its clients reach the container instead',
      );
    }
  }
  return found;
}

function scopeOf({ family, address }: BoundSocket): { family: 4 | 6; address: string } {
  return { family, address: address === '0.0.0.0' || address === '::' ? '' : address };
}
