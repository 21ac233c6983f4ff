/**
 * Multicast of one network goes to the hosts that have members. The bridge hears from its containers which groups they want
 * (IGMP and MLD snooping); each host tells the others, and puts what it hears from them into two tables:
 *
 *     group → the VXLAN               of the bridge: a group that no other host wants does not leave this one
 *     group → hosts with members      of the VXLAN; before kernel 6.4 there is none, and the group goes to all hosts
 *
 * What is link-local (224.0.0.0/24, ff02::1) goes to everybody (RFC 4541 §2.1.2 and §3). Neighbour discovery is multicast too: the
 * bridge's own host gets all groups, so that its gateway address is found whatever it has joined; and questions for containers
 * that the hosts tell each other of are answered where they are asked, so their groups are not told.
 */
import { isKernelError } from '../../linux/errors.ts';
import { changeBridgePort, changeLinkOptions, getLink } from '../../linux/netlink/link.ts';
import { addGroupEntry, deleteGroupEntry, listGroups, type NewGroupEntry } from '../../linux/netlink/multicast.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import type { Request } from '../../linux/netlink/socket.ts';
import { ETH_P_IP, ETH_P_IPV6, PacketSocket } from '../../linux/packet-socket.ts';
import { findIp } from '../address/ip.ts';
import { multicastMac } from '../neighbour/ip6.ts';
import { solicitedNode } from '../neighbour/ndp.ts';
import { igmpQuery } from './igmp.ts';
import { allNodes, mldQuery } from './mld.ts';

/** More than these are not told; then everything is wanted. An attribute holds 16 384 characters. */
const mostGroups = 1000;
const longestText = 16_000;
/** IFLA_BRPORT_MULTICAST_ROUTER: whether a port gets all groups. */
const router = { never: 0, always: 2 } as const;
const allHosts = '01:00:5e:00:00:01';
/** Any link-local address does, and this one is nobody's. */
const querier = 'fe80::636c:6561:7400';

export interface RemoteGroups {
  /** Where frames for the host go. */
  readonly vtep: string;
  /** undefined: all. */
  readonly groups: readonly string[] | undefined;
}

export class Multicast {
  readonly #socket: RouteSocket;
  /** Else groups of IPv6 are flooded: nobody is asked for them. */
  readonly #hasIPv6: boolean;
  #links: { readonly vxlan: number; readonly bridge: number } | undefined;
  #snoops = false;
  /** The kernel has no table of groups for a VXLAN. */
  #noTable = false;
  /** As the VXLAN's port has it. */
  #router: number | undefined;

  constructor(socket: RouteSocket, hasIPv6: boolean) {
    this.#socket = socket;
    this.#hasIPv6 = hasIPv6;
  }

  /** The links, as they are now. */
  load(vxlan: number, bridge: number): void {
    this.#links = { vxlan, bridge };
    this.#router = undefined;
    const { options } = getLink(this.#socket, bridge);
    this.#snoops = 'multicastSnooping' in options && options.multicastSnooping === true;
    if (this.#snoops && this.#hasIPv6)
      this.#socket.apply(changeLinkOptions(bridge, 'bridge', { multicastRouter: router.always }));
  }

  /** Whether a change of groups there concerns this network. */
  isTable(index: number): boolean {
    return this.#links?.bridge === index;
  }

  /** Groups that containers here want, but for those by which the addresses are asked for, which the others know; undefined: all. */
  wanted(addresses: Iterable<string>): readonly string[] | undefined {
    if (!this.#links || !this.#snoops) return undefined;
    const { vxlan, bridge } = this.#links;
    const asking = new Set([...addresses].filter((one) => one.includes(':')).map(solicitedNode));
    const ours = listGroups(this.#socket, bridge).filter(
      ({ port, group }) => port !== vxlan && port !== bridge && this.#follows(group),
    );
    const groups = [...new Set(ours.map(({ group }) => group))].filter((group) => !asking.has(group)).sort();
    return groups.length > mostGroups || groupsText(groups).length > longestText ? undefined : groups;
  }

  /** Brings both tables to what the other hosts want. With `keep`, what nobody has asked for yet stays. */
  settle(remotes: readonly RemoteGroups[], keep: boolean): void {
    if (!this.#links || !this.#snoops) return;
    const { vxlan, bridge } = this.#links;
    const everything = remotes.some(({ groups }) => groups === undefined) || (keep && remotes.length === 0);
    const multicastRouter = everything ? router.always : router.never;
    if (multicastRouter !== this.#router) this.#socket.attempt([changeBridgePort(vxlan, { multicastRouter })]);
    this.#router = multicastRouter;
    const groups = new Set(remotes.flatMap((remote) => remote.groups ?? []).filter((group) => this.#follows(group)));
    const ours = listGroups(this.#socket, bridge).filter(({ port, group }) => port === vxlan && this.#follows(group));
    // Learned from what another host let through while it knew less: it would end by itself, or stay when nobody wants it any more.
    this.#try(ours.filter(({ permanent }) => !permanent).map(deleteGroupEntry));
    this.#bring(
      ours.filter(({ permanent }) => permanent),
      [...groups].map((group) => ({ table: bridge, port: vxlan, group })),
      keep,
    );
    if (this.#noTable) return;
    const destinations = [...groups].flatMap((group) =>
      remotes
        .filter((remote) => remote.groups === undefined || remote.groups.includes(group))
        .map(({ vtep: destination }) => ({ table: vxlan, port: vxlan, group, destination })),
    );
    this.#bring(listGroups(this.#socket, vxlan), destinations, keep);
  }

  /** Asks all containers which groups they want; without that what the bridge knows ends after 260 s. */
  ask(source: string): void {
    if (!this.#links || !this.#snoops) return;
    this.#send(ETH_P_IP, allHosts, igmpQuery(source));
    if (this.#hasIPv6) this.#send(ETH_P_IPV6, multicastMac(allNodes), mldQuery(querier));
  }

  #send(protocol: number, mac: string, packet: Buffer): void {
    if (!this.#links) return;
    using socket = new PacketSocket({ link: this.#links.bridge, protocol, onPacket: () => {} });
    socket.send(mac, packet);
  }

  #follows(group: string): boolean {
    return this.#hasIPv6 || !group.includes(':');
  }

  #bring(there: readonly NewGroupEntry[], wanted: readonly NewGroupEntry[], keep: boolean): void {
    const key = ({ group, destination }: NewGroupEntry) => `${group} ${destination ?? ''}`;
    const before = new Set(there.map(key));
    const after = new Set(wanted.map(key));
    const gone = keep ? [] : there.filter((entry) => !after.has(key(entry)));
    this.#try([...gone.map(deleteGroupEntry), ...wanted.filter((entry) => !before.has(key(entry))).map(addGroupEntry)]);
  }

  #try(changes: readonly Request[]): void {
    for (const error of this.#socket.attempt(changes)) {
      if (error && isKernelError(error, 'EOPNOTSUPP')) this.#noTable = true;
      // What has changed meanwhile, or went with its link.
      else if (error && !isKernelError(error, 'EEXIST', 'ENOENT', 'EINVAL', 'ENODEV')) throw error;
    }
  }
}

/** As an attribute of the host's part of the network. */
export function groupsText(groups: readonly string[]): string {
  return groups.join(' ');
}

/** undefined for what is no list of groups, which then counts as all. */
export function readGroupsText(text: string | undefined): readonly string[] | undefined {
  if (text === undefined) return undefined;
  const groups = text.split(' ').filter((one) => one !== '');
  const valid = groups.every((group) => isGroup(group));
  return valid && groups.length <= mostGroups ? groups : undefined;
}

function isGroup(text: string): boolean {
  const ip = findIp(text);
  if (ip === undefined) return false;
  return ip.family === 4 ? ip.value >> 28n === 0xen : ip.value >> 120n === 0xffn;
}
