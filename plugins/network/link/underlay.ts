/** What the host's own network says to ours: the MTU that leaves the host whole, and the subnets of its interfaces. */
import { listAddresses } from '../../linux/netlink/address.ts';
import { getLink, listLinks } from '../../linux/netlink/link.ts';
import { listRoutes, RT_TABLE_MAIN } from '../../linux/netlink/route.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { cidrAround, formatCidr } from '../address/cidr.ts';
import { parseIp } from '../address/ip.ts';

const ethernetMtu = 1500;

/** MTU of the interface that the default route goes by (IPv4 first); 1500 where there is no default route. */
export function underlayMtu(socket: RouteSocket): number {
  for (const family of [4, 6] as const) {
    const anywhere = family === 4 ? '0.0.0.0/0' : '::/0';
    const [best] = listRoutes(socket, { family, table: RT_TABLE_MAIN })
      .filter(({ destination, type, link }) => destination === anywhere && type === 'unicast' && link !== undefined)
      .toSorted((a, b) => a.metric - b.metric);
    if (best?.link !== undefined) return getLink(socket, best.link).mtu;
  }
  return ethernetMtu;
}

/** Every subnet that an interface of the host has an address in, link-local ones left out. */
export function hostSubnets(socket: RouteSocket): { interfaceName: string; cidr: string }[] {
  const names = new Map(listLinks(socket).map(({ index, name }) => [index, name]));
  return listAddresses(socket)
    .filter(({ scope }) => scope === 'global')
    .map(({ link, address, prefixLength }) => ({
      interfaceName: names.get(link) ?? String(link),
      cidr: formatCidr(cidrAround(parseIp(address), prefixLength)),
    }));
}
