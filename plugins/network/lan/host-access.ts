/**
 * `cleat.host-access`: the kernel lets no parent talk to the links on it, so the host gets a link of its own on the parent, and a
 * route to each container by it.
 *
 *     on         the link has no IPv4 address: the host speaks with the parent's, and the kernel answers ARP for any address
 *                of the host on any link; the parent's IPv6 addresses are repeated on it, for there it does not
 *     ADDRESS    the link has this one (needed for ipvlan, and where the parent has no address in the subnet)
 */
import { isKernelError } from '../../linux/errors.ts';
import { listAddresses, replaceAddress } from '../../linux/netlink/address.ts';
import { changeLink, createLink, deleteLink, findLink, getLink } from '../../linux/netlink/link.ts';
import { deleteRoute, listRoutes, replaceRoute } from '../../linux/netlink/route.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { cidrHasIp, parseCidr } from '../address/cidr.ts';
import { parseIp } from '../address/ip.ts';
import { networkAlias, networkKey } from '../link/names.ts';
import type { HostAccess as Access, LinkMode } from './options.ts';

export interface AccessPlan {
  readonly networkId: string;
  readonly access: Access;
  readonly mode: LinkMode;
  /** Index of the parent. */
  readonly parent: number;
  /** CIDR. */
  readonly pools: readonly string[];
}

export class HostAccess {
  readonly #socket: RouteSocket;
  /** By network: the host's addresses on it, which its packets to containers carry. */
  readonly #sources = new Map<string, readonly string[]>();

  constructor(socket: RouteSocket) {
    this.#socket = socket;
  }

  /** The link, as the plan wants it; nothing for `off`. Throws NET_HOST_ACCESS. */
  ensure(plan: AccessPlan): void {
    if (plan.access === 'off') return;
    const name = accessName(plan.networkId);
    const sources = plan.access === 'on' ? this.#parentAddresses(plan) : [plan.access.address];
    if (plan.access === 'on' && (sources.length === 0 || plan.mode.kind === 'ipvlan')) {
      const why =
        plan.mode.kind === 'ipvlan'
          ? 'ipvlan needs an address for the host'
          : 'the parent has no address in the subnet';
      throw new PluginError('NET_HOST_ACCESS', `cleat.host-access=on: ${why}`, {
        hint: `name a free one of ${plan.pools.join(' or ')}: cleat.host-access=ADDRESS`,
      });
    }
    this.#sources.set(plan.networkId, sources);
    if (findLink(this.#socket, name) === undefined) this.#make(name, plan);
    const { index } = getLink(this.#socket, name);
    this.#socket.apply(changeLink(index, { up: true, alias: networkAlias(plan.networkId) }));
    if (plan.access === 'on') this.#answerFor(index, sources);
    else
      this.#socket.apply(
        replaceAddress({
          link: index,
          address: `${plan.access.address}/${plan.access.address.includes(':') ? 128 : 32}`,
        }),
      );
  }

  /** Exactly one host route for each container. */
  setContainers(networkId: string, addresses: readonly string[]): void {
    const link = findLink(this.#socket, accessName(networkId));
    if (link === undefined) return;
    const wanted = new Set(addresses.map(hostPrefix));
    for (const { destination, protocol } of listRoutes(this.#socket, { link: link.index })) {
      const isHostRoute = destination.endsWith('/32') || destination.endsWith('/128');
      if (isHostRoute && protocol === routeProtocol && !wanted.has(destination))
        this.#socket.attempt([deleteRoute({ destination, link: link.index })]);
    }
    const sources = this.#sources.get(networkId) ?? [];
    for (const destination of wanted) {
      const source = sources.find((address) => address.includes(':') === destination.includes(':'));
      const route = { destination, link: link.index, protocol: routeProtocol, ...(source !== undefined && { source }) };
      this.#socket.apply(replaceRoute(route));
    }
  }

  /** Its routes go with it. Success when there is none. */
  remove(networkId: string): void {
    this.#sources.delete(networkId);
    for (const error of this.#socket.attempt([deleteLink(accessName(networkId))])) {
      if (error && !isKernelError(error, 'ENODEV')) throw error;
    }
  }

  #make(name: string, { mode, parent }: AccessPlan): void {
    try {
      if (mode.kind === 'macvlan')
        this.#socket.apply(
          createLink({
            kind: 'macvlan',
            name,
            parent,
            options: { mode: mode.mode === 'source' ? 'bridge' : mode.mode },
          }),
        );
      else
        this.#socket.apply(createLink({ kind: 'ipvlan', name, parent, options: { mode: mode.mode, flag: mode.flag } }));
    } catch (error) {
      throw new PluginError(
        'NET_HOST_ACCESS',
        `the host's own ${mode.kind} link could not be made: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  #parentAddresses({ parent, pools }: AccessPlan): string[] {
    const cidrs = pools.map(parseCidr);
    return listAddresses(this.#socket, { link: parent })
      .map(({ address }) => address)
      .filter((address) => cidrs.some((cidr) => cidrHasIp(cidr, parseIp(address))));
  }

  /** IPv4 answers ARP for any address of the host on any link; IPv6 answers for those of the link only. */
  #answerFor(link: number, sources: readonly string[]): void {
    for (const source of sources.filter((address) => address.includes(':'))) {
      this.#socket.apply(replaceAddress({ link, address: `${source}/128`, noDad: true, noPrefixRoute: true }));
    }
  }
}

/** Marks our routes; anything from 4 on is free for daemons. <linux/rtnetlink.h> */
const routeProtocol = 99;

/** `ch-` and 12 digits of the network's id. */
export function accessName(networkId: string): string {
  return `ch-${networkKey(networkId)}`;
}

function hostPrefix(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}
