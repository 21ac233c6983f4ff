/** Where a connection was going before the packet filter redirected it to us. */
import type { Socket } from 'node:net';
import { ipText } from './netlink/address-bytes.ts';
import { check, IPPROTO_IP, IPPROTO_IPV6, libc } from './syscall.ts';

/** SO_ORIGINAL_DST, <linux/netfilter_ipv4.h>, and IP6T_SO_ORIGINAL_DST, <linux/netfilter_ipv6/ip6_tables.h> */
const ORIGINAL_DESTINATION = 80;

/** Throws ENOENT when the connection is not tracked. One that was not redirected gives the address it came to. */
export function originalDestination(socket: Socket, family: 4 | 6): { address: string; port: number } {
  // net.Socket has no public way to its descriptor; koffi needs it only for this one call.
  const fd = (socket as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1;
  const address = Buffer.alloc(28);
  const length = Buffer.from([address.length, 0, 0, 0]);
  const level = family === 4 ? IPPROTO_IP : IPPROTO_IPV6;
  check(libc.getsockopt(fd, level, ORIGINAL_DESTINATION, address, length), 'getsockopt', 'SO_ORIGINAL_DST');
  const ip = family === 4 ? address.subarray(4, 8) : address.subarray(8, 24);
  return { address: ipText(ip), port: address.readUInt16BE(2) };
}
