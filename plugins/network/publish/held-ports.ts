/**
 * Keeps processes of the host from taking a published port: a bound socket for each, in each family. A packet to a published
 * port is redirected before any socket sees it, so these never receive; without them a server could start on the port and
 * wonder why nobody comes.
 *
 * A request of more than `mostHeld` ports is not held: it would need as many sockets. Its ports are compared with the
 * sockets of the host when they are published, and again from time to time (late-conflicts.ts).
 */

import { type BoundSocket, describeSocketOwner, findBoundSocket, listBoundSockets } from '../../linux/bound-sockets.ts';
import { isKernelError } from '../../linux/errors.ts';
import { openSocketFd } from '../../linux/socket.ts';
import { closeFd } from '../../linux/syscall.ts';
import { PluginError } from '../../sdk/errors.ts';
import type { TransportProtocol } from '../../sdk/network-plugin.ts';
import type { HostScope, PublishedPort } from './port-binding.ts';
import type { TryPort } from './port-index.ts';

/** Ports of one endpoint that get a socket each, in each family. */
export const mostHeld = 256;

interface Log {
  warn(fields: object, message: string): void;
}

/** One request for ports: what it holds is let go at the end of its scope, unless it was kept. */
export interface Attempt extends Disposable {
  readonly tryPort: TryPort;
  keep(owner: string): void;
}

export class HeldPorts {
  readonly #log: Log;
  readonly #sockets = new Map<string, number[]>();
  /** Of our own proxy: packets to a published port are redirected before they could reach it. */
  #ownPort: number | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  setOwnPort(port: number | undefined): void {
    this.#ownPort = port;
  }

  begin(portCount: number): Attempt {
    let sockets: number[] = [];
    const tryPort: TryPort =
      portCount <= mostHeld
        ? (protocol, scopes, port) => sockets.push(...bindAll(protocol, this.#others(scopes, port), port))
        : comparing((socket) => this.isOwn(socket));
    return {
      tryPort,
      keep: (owner) => {
        if (sockets.length > 0) this.#sockets.set(owner, [...(this.#sockets.get(owner) ?? []), ...sockets]);
        sockets = [];
      },
      [Symbol.dispose]: () => {
        for (const fd of sockets) closeFd(fd);
      },
    };
  }

  /** Ports that are published already. One that a process took while we were away is reported, and stays published. */
  hold(owner: string, ports: readonly PublishedPort[]): void {
    const own = ports.filter(({ via }) => via !== 'routed');
    if (own.reduce((sum, { hostPort, hostPortEnd }) => sum + hostPortEnd - hostPort + 1, 0) > 2 * mostHeld) return;
    const sockets: number[] = [];
    for (const { protocol, family, hostAddress, hostPort, hostPortEnd } of own) {
      for (let port = hostPort; port <= hostPortEnd; port++) {
        try {
          const scopes = this.#others([{ family, address: hostAddress }], port);
          sockets.push(...bindAll(protocol, scopes, port));
        } catch (error) {
          this.#log.warn(
            { err: error, endpoint: owner, port },
            'a published port could not be held; it stays published',
          );
        }
      }
    }
    if (sockets.length > 0) this.#sockets.set(owner, sockets);
  }

  /** Our own proxy's socket. */
  isOwn({ port, address }: BoundSocket): boolean {
    return port === this.#ownPort && address === '::';
  }

  /** Whether nothing keeps processes from the owner's ports, so that they have to be watched. */
  isUnheld(owner: string): boolean {
    return !this.#sockets.has(owner);
  }

  release(owner: string): void {
    for (const fd of this.#sockets.get(owner) ?? []) closeFd(fd);
    this.#sockets.delete(owner);
  }

  #others(scopes: readonly HostScope[], port: number): readonly HostScope[] {
    return port === this.#ownPort ? scopes.filter(({ family }) => family === 4) : scopes;
  }

  close(): void {
    for (const owner of [...this.#sockets.keys()]) this.release(owner);
  }
}

/** Sockets bound to the port in every scope, or none. */
function bindAll(protocol: TransportProtocol, scopes: readonly HostScope[], port: number): number[] {
  // The kernel lets SCTP sockets bind only where the protocol is built in, and nobody else listens there.
  if (protocol === 'sctp') return [];
  const sockets: number[] = [];
  try {
    for (const scope of scopes) {
      const fd = bindOne(protocol, scope, port);
      if (fd !== undefined) sockets.push(fd);
    }
    return sockets;
  } catch (error) {
    for (const fd of sockets) closeFd(fd);
    throw error;
  }
}

function bindOne(protocol: 'tcp' | 'udp', scope: HostScope, port: number): number | undefined {
  const address = scope.address || (scope.family === 4 ? '0.0.0.0' : '::');
  try {
    return openSocketFd(protocol, { address, port });
  } catch (error) {
    // A host without IPv6 has nothing to hold there.
    if (isKernelError(error, 'EAFNOSUPPORT')) return undefined;
    if (isKernelError(error, 'EADDRNOTAVAIL')) {
      if (scope.address === '') return undefined;
      throw new PluginError(
        'NET_PORT_ADDRESS',
        `${address} is no address of this host, so no port can be published on it`,
        {
          hint: 'use one that `ip address` shows, or none for all of them',
          cause: error,
        },
      );
    }
    if (!isKernelError(error, 'EADDRINUSE')) throw error;
    const holder = findBoundSocket(protocol, address, port);
    if (holder) throw taken(protocol, port, holder);
  }
  try {
    // Nobody has it open: what is left of closed TCP connections (TIME-WAIT) does not stand in the way.
    return openSocketFd(protocol, { address, port, reuseAddress: true });
  } catch (error) {
    if (!isKernelError(error, 'EADDRINUSE')) throw error;
    throw new PluginError('NET_PORT_TAKEN', `host port ${port}/${protocol} is used by a process of this host`, {
      hint: 'stop it or publish another port',
      cause: error,
    });
  }
}

/** Compares with all sockets of the host, read once for each protocol. */
function comparing(isOwn: (socket: BoundSocket) => boolean): TryPort {
  const known = new Map<TransportProtocol, Map<number, BoundSocket[]>>();
  return (protocol, scopes, port) => {
    if (protocol === 'sctp') return;
    let byPort = known.get(protocol);
    if (!byPort) {
      byPort = Map.groupBy(
        listBoundSockets(protocol).filter((socket) => !isOwn(socket)),
        (socket) => socket.port,
      );
      known.set(protocol, byPort);
    }
    const holder = byPort.get(port)?.find((socket) => scopes.some((scope) => clashes(socket, scope)));
    if (holder) throw taken(protocol, port, holder);
  };
}

function clashes(socket: BoundSocket, { family, address }: HostScope): boolean {
  const anyAddress = socket.address === '0.0.0.0' || socket.address === '::';
  // A socket on [::] takes IPv4 too unless it says otherwise, which the kernel's list does not show.
  if (family !== socket.family) return socket.address === '::';
  return anyAddress || address === '' || socket.address === address;
}

function taken(protocol: string, port: number, socket: BoundSocket): PluginError {
  const where = socket.family === 6 ? `[${socket.address}]` : socket.address;
  return new PluginError(
    'NET_PORT_TAKEN',
    `host port ${port}/${protocol} is used by ${describeSocketOwner(socket)}, which listens on ${where}:${port}`,
    { hint: 'stop it or publish another port' },
  );
}
