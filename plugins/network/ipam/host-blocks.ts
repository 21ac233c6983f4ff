/** Which blocks of addresses the host uses or reaches by a route of its own: pools must keep out of them. Read from the kernel. */
import { listAddresses } from '../../linux/netlink/address.ts';
import { listLinks } from '../../linux/netlink/link.ts';
import { listRoutes, RT_TABLE_LOCAL } from '../../linux/netlink/route.ts';
import { RouteSocket } from '../../linux/netlink/route-socket.ts';
import type { Netns } from '../../linux/netns.ts';
import { type Cidr, cidrHasIp, parseCidr } from '../address/cidr.ts';
import { type Family, type Ip, parseIp } from '../address/ip.ts';

export interface HostBlock {
  readonly cidr: Cidr;
  /** `route 10.8.0.0/16 dev tun0`, for messages; the same for the same route. */
  readonly text: string;
  /** Index of the interface; absent for routes without one (blackhole). */
  readonly link?: number;
}

export interface HostView {
  /** Routes of all tables and the subnets of all addresses, without default routes and link-local ones. */
  readonly blocks: readonly HostBlock[];
  readonly addresses: readonly { readonly ip: Ip; readonly link: number }[];
}

/**
 * A VPN that takes everything writes its default route in pieces (0.0.0.0/1, or "all but the private ranges" down to /5),
 * so that it beats the real one. A route that is wider than any private range says nothing about pools.
 */
const widestPrivate: Readonly<Record<Family, number>> = { 4: 8, 6: 7 };
const linkLocal = ['169.254.0.0/16', 'fe80::/10', 'ff00::/8', '127.0.0.0/8', '::1/128'].map(parseCidr);

/** Of the given namespace, else of the caller's, which is the engine's. Throws KernelError. */
export function readHostView(netns?: Netns): HostView {
  using socket = new RouteSocket(netns);
  const names = new Map(listLinks(socket).map((link) => [link.index, link.name]));
  const device = (link: number | undefined): string => (link === undefined ? '' : ` dev ${names.get(link) ?? link}`);
  const blocks: HostBlock[] = [];
  const add = (text: string, what: string, link: number | undefined): void => {
    const cidr = parseCidr(text);
    if (
      cidr.prefix < widestPrivate[cidr.family] ||
      linkLocal.some((other) => cidrHasIp(other, { family: cidr.family, value: cidr.network }))
    )
      return;
    blocks.push({ cidr, text: `${what} ${text}${device(link)}`, ...(link === undefined ? {} : { link }) });
  };
  for (const route of listRoutes(socket)) {
    // The local table has each address of the host once more, and broadcasts.
    if (route.table !== RT_TABLE_LOCAL) add(route.destination, 'route', route.link);
  }
  const addresses = listAddresses(socket);
  for (const { address, prefixLength, link } of addresses) add(`${address}/${prefixLength}`, 'address', link);
  return { blocks, addresses: addresses.map(({ address, link }) => ({ ip: parseIp(address), link })) };
}
