/** A UDP and a TCP socket on one address, with the same answers on both. Opened in the namespace that is given, served from here. */
import type { Server } from 'node:net';
import { boundPort, openUdp } from '../../linux/datagram.ts';
import { inNetns, type Netns } from '../../linux/netns.ts';
import { listenTcp } from '../../linux/socket.ts';
import { ipToBytes, parseIp } from '../address/ip.ts';
import type { EngineResolver } from './engine-resolver.ts';
import type { PeerViews } from './peer-views.ts';
import type { QueryLog } from './query-log.ts';
import type { Responder } from './responder.ts';
import { createTcpServer } from './tcp-server.ts';
import { UdpServer } from './udp-server.ts';

/** Room for a burst while the event loop is busy elsewhere. */
const receiveBufferBytes = 1 << 20;

export interface ListenerOptions {
  readonly netns?: Netns;
  readonly address: string;
  /** 0: the kernel's choice. */
  readonly port: number;
  readonly device?: string;
  readonly shared: boolean;
  readonly views: PeerViews;
  readonly responder: Responder;
  readonly log: QueryLog;
  readonly now: () => number;
  readonly engine?: EngineResolver;
}

export interface Listener {
  readonly udpPort: number;
  readonly tcpPort: number;
  close(): void;
}

/** Throws KernelError when the address cannot be had. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const { netns, address, port, device } = options;
  const bytes = ipToBytes(parseIp(address));
  const open = (): number =>
    openUdp({
      address: bytes,
      port,
      reuseAddress: true,
      // IPv6 addresses cannot be bound while they are checked for duplicates. IPv4 must wait for its address: a socket that was bound
      // before loses it as the source of its replies.
      freebind: bytes.length === 16,
      receiveBufferBytes,
      ...(device === undefined ? {} : { device }),
    });
  const fd = netns === undefined ? open() : inNetns(netns, open);
  const udpPort = boundPort(fd);
  const udp = new UdpServer({ ...options, fd });
  const tcp = createTcpServer(options);
  try {
    await listenTcp(tcp, {
      address,
      port,
      ...(netns === undefined ? {} : { netns }),
      ...(device === undefined ? {} : { device }),
    });
  } catch (error) {
    udp.close();
    throw error;
  }
  tcp.unref();
  return {
    udpPort,
    tcpPort: tcpPortOf(tcp),
    close() {
      udp.close();
      tcp.close();
    },
  };
}

function tcpPortOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
