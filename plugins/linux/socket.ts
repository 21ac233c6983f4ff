/**
 * Sockets made in another network namespace and served by this process's event loop: Node's dgram and net adopt their
 * descriptors. A socket stays in the namespace that it was made in.
 */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv4, type Server, Socket } from 'node:net';
import { sockaddr } from './datagram.ts';
import { ipBytes } from './netlink/address-bytes.ts';
import { inNetns, type Netns } from './netns.ts';
import {
  AF_INET,
  AF_INET6,
  check,
  closeFd,
  IPPROTO_IPV6,
  IPPROTO_UDP,
  IPV6_V6ONLY,
  libc,
  SO_BINDTODEVICE,
  SO_BROADCAST,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from './syscall.ts';

export interface SocketOptions {
  /** Default: the caller's own. */
  readonly netns?: Netns;
  /** Its family is the socket's; `0.0.0.0` and `::` for any. */
  readonly address: string;
  /** 0: chosen by the kernel. */
  readonly port: number;
  /** Name of the only link that it receives from and sends to. */
  readonly device?: string;
  readonly reuseAddress?: boolean;
  readonly reusePort?: boolean;
  readonly broadcast?: boolean;
  /** UDP over IPv6: packets leave without a checksum, and are taken without one (RFC 6935). */
  readonly sendNoChecksum?: boolean;
  readonly acceptNoChecksum?: boolean;
}

/** <linux/udp.h> */
const UDP_NO_CHECK6_TX = 101;
const UDP_NO_CHECK6_RX = 102;

/** A bound, non-blocking descriptor. The caller closes it or gives it to what adopts it. */
export function openSocketFd(type: 'udp' | 'tcp', options: SocketOptions): number {
  const open = (): number => openHere(type, options);
  return options.netns ? inNetns(options.netns, open) : open();
}

/** Bound and receiving. The caller closes it. */
export async function openUdpSocket(options: SocketOptions): Promise<DatagramSocket> {
  const fd = openSocketFd('udp', options);
  const socket = createSocket(isIPv4(options.address) ? 'udp4' : 'udp6');
  // For a given descriptor the event comes before `bind` returns.
  const listening = once(socket, 'listening');
  socket.bind({ fd });
  await listening;
  return socket;
}

/** Makes the server listen in the namespace. The address may be taken again at once after a restart (SO_REUSEADDR). */
export async function listenTcp(server: Server, options: SocketOptions): Promise<void> {
  const fd = openSocketFd('tcp', { reuseAddress: true, ...options });
  const listening = once(server, 'listening');
  server.listen({ fd });
  await listening;
}

/** A TCP connection that leaves from the namespace; it emits `connect` or `error` as one of net's own. */
export function connectTcp({ netns, address, port }: Pick<SocketOptions, 'netns' | 'address' | 'port'>): Socket {
  const any = isIPv4(address) ? '0.0.0.0' : '::';
  const fd = openSocketFd('tcp', { address: any, port: 0, ...(netns && { netns }) });
  return new Socket({ fd }).connect({ host: address, port });
}

function openHere(type: 'udp' | 'tcp', options: SocketOptions): number {
  const family = isIPv4(options.address) ? AF_INET : AF_INET6;
  const kind = (type === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const words = `${type} ${options.address} port ${options.port}`;
  const fd = check(libc.socket(family, kind, 0), 'socket', words);
  const set = (level: number, name: number, value: Buffer): void => {
    check(libc.setsockopt(fd, level, name, value, value.length), 'setsockopt', `${name} on ${words}`);
  };
  const one = Buffer.from([1, 0, 0, 0]);
  try {
    if (options.reuseAddress) set(SOL_SOCKET, SO_REUSEADDR, one);
    if (options.reusePort) set(SOL_SOCKET, SO_REUSEPORT, one);
    if (options.broadcast) set(SOL_SOCKET, SO_BROADCAST, one);
    if (options.sendNoChecksum) set(IPPROTO_UDP, UDP_NO_CHECK6_TX, one);
    if (options.acceptNoChecksum) set(IPPROTO_UDP, UDP_NO_CHECK6_RX, one);
    if (options.device) set(SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${options.device}\0`));
    // Two sockets, one for each family, instead of one that depends on net.ipv6.bindv6only.
    if (family === AF_INET6) set(IPPROTO_IPV6, IPV6_V6ONLY, one);
    const address = sockaddr(ipBytes(options.address), options.port);
    check(libc.bind(fd, address, address.length), 'bind', words);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}
