/**
 * Carries what no kernel translation can: connections of the host to [::1], and from the host's IPv6 to a container that has
 * IPv4 only. The firewall redirects them all, whatever their port, to one TCP and one UDP socket here; where each was going is
 * asked of the kernel. So a range of 10 000 ports needs no more sockets than one port.
 *
 * The container sees the host as the client: the source address is lost, as with every proxy. While the daemon is down these
 * ways are closed; everything else goes on.
 */
import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { originalDestination } from '../../linux/original-destination.ts';
import type { Store } from '../../store/store.ts';
import type { HostScope } from './port-binding.ts';
import { UdpProxy } from './udp-proxy.ts';

export interface ProxyLog {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Where a packet to this host address and port is published to. */
export type FindTarget = (
  protocol: 'tcp' | 'udp',
  scope: HostScope,
  port: number,
) => { readonly address: string; readonly port: number } | undefined;

export class PublishProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #udp: UdpProxy;
  readonly #connections = new Set<Socket>();

  private constructor(server: Server, udp: UdpProxy, port: number) {
    this.#server = server;
    this.#udp = udp;
    this.port = port;
  }

  /**
   * On the port of the last run where that is free: rules in the kernel lead there already. undefined on a host without IPv6.
   */
  static async start(store: Store, findTarget: FindTarget, log: ProxyLog): Promise<PublishProxy | undefined> {
    const table = store.table<{ readonly port: number }>('publish.proxy', { version: 1 });
    const before = table.get('listen')?.port;
    for (const port of before === undefined ? [0, 0, 0] : [before, 0, 0, 0]) {
      const server = createServer({ allowHalfOpen: true, noDelay: true });
      try {
        const bound = await listen(server, port);
        const udp = await UdpProxy.start(bound, findTarget, log);
        if (bound !== before) table.put('listen', { port: bound });
        const proxy = new PublishProxy(server, udp, bound);
        server.on('connection', (client) => proxy.#carry(client, findTarget, log));
        return proxy;
      } catch (error) {
        server.close();
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL') return undefined;
        if (code !== 'EADDRINUSE') throw error;
      }
    }
    log.warn({ port: before }, 'no port for the proxy: published ports are not reached by [::1]');
    return undefined;
  }

  async close(): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    this.#server.close();
    await this.#udp.close();
  }

  #carry(client: Socket, findTarget: FindTarget, log: ProxyLog): void {
    this.#connections.add(client);
    client.once('close', () => this.#connections.delete(client));
    client.on('error', () => client.destroy());
    const target = this.#findTarget(client, findTarget, log);
    if (!target) {
      client.resetAndDestroy();
      return;
    }
    const container = createConnection({ host: target.address, port: target.port, allowHalfOpen: true, noDelay: true });
    container.on('error', (error) => {
      log.debug({ err: error, ...target }, 'a proxied connection failed');
      // As the kernel would have answered: the client sees a reset, not an orderly end.
      client.resetAndDestroy();
    });
    client.once('close', () => container.destroy());
    container.once('close', () => client.destroySoon());
    client.pipe(container).pipe(client);
  }

  #findTarget(client: Socket, findTarget: FindTarget, log: ProxyLog): ReturnType<FindTarget> {
    try {
      const { address, port } = originalDestination(client, 6);
      return findTarget('tcp', { family: 6, address }, port);
    } catch (error) {
      log.debug({ err: error }, 'a connection to the proxy without a destination');
      return undefined;
    }
  }
}

async function listen(server: Server, port: number): Promise<number> {
  server.listen({ host: '::', port, ipv6Only: true });
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}
