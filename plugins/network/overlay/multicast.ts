/**
 * Multicast of one network goes to the hosts that have members. The bridge hears from its containers which groups they want
 * (IGMP snooping); each host tells the others, and puts what it hears from them into two tables:
 *
 *     group → the VXLAN               of the bridge: a group that no other host wants does not leave this one
 *     group → hosts with members      of the VXLAN; before kernel 6.4 there is none, and the group goes to all hosts
 *
 * IPv4 only: with a querier for IPv6 (RFC 3810), neighbour discovery would depend on members too. What is link-local (224.0.0.0/24)
 * goes to everybody (RFC 4541 §2.1.2).
 */
import { isKernelError } from '../../linux/errors.ts';
import { changeBridgePort, getLink } from '../../linux/netlink/link.ts';
import { addGroupEntry, deleteGroupEntry, listGroups, type NewGroupEntry } from '../../linux/netlink/multicast.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import type { Request } from '../../linux/netlink/socket.ts';
import { ETH_P_IP, PacketSocket } from '../../linux/packet-socket.ts';
import { igmpQuery } from './igmp.ts';

/** More than these are not told; then everything is wanted. An attribute holds 16 384 characters. */
const mostGroups = 1000;
/** IFLA_BRPORT_MULTICAST_ROUTER: whether a port gets all groups. */
const router = { never: 0, always: 2 } as const;
const allHosts = '01:00:5e:00:00:01';

export interface RemoteGroups {
  /** Where frames for the host go. */
  readonly vtep: string;
  /** undefined: all. */
  readonly groups: readonly string[] | undefined;
}

export class Multicast {
  readonly #socket: RouteSocket;
  #links: { readonly vxlan: number; readonly bridge: number } | undefined;
  #snoops = false;
  /** The kernel has no table of groups for a VXLAN. */
  #noTable = false;
  /** As the VXLAN's port has it. */
  #router: number | undefined;

  constructor(socket: RouteSocket) {
    this.#socket = socket;
  }

  /** The links, as they are now. */
  load(vxlan: number, bridge: number): void {
    this.#links = { vxlan, bridge };
    this.#router = undefined;
    const { options } = getLink(this.#socket, bridge);
    this.#snoops = 'multicastSnooping' in options && options.multicastSnooping === true;
  }

  /** Whether a change of groups there concerns this network. */
  isTable(index: number): boolean {
    return this.#links?.bridge === index;
  }

  /** Groups that containers here want; undefined: all. */
  wanted(): readonly string[] | undefined {
    if (!this.#links || !this.#snoops) return undefined;
    const { vxlan, bridge } = this.#links;
    const ours = listGroups(this.#socket, bridge).filter(({ port, group }) => port !== vxlan && !group.includes(':'));
    const groups = [...new Set(ours.map(({ group }) => group))].sort();
    return groups.length > mostGroups ? undefined : groups;
  }

  /** Brings both tables to what the other hosts want. With `keep`, what nobody has asked for yet stays. */
  settle(remotes: readonly RemoteGroups[], keep: boolean): void {
    if (!this.#links || !this.#snoops) return;
    const { vxlan, bridge } = this.#links;
    const everything = remotes.some(({ groups }) => groups === undefined) || (keep && remotes.length === 0);
    const multicastRouter = everything ? router.always : router.never;
    if (multicastRouter !== this.#router) this.#socket.attempt([changeBridgePort(vxlan, { multicastRouter })]);
    this.#router = multicastRouter;
    const groups = new Set(remotes.flatMap((remote) => remote.groups ?? []));
    const ours = listGroups(this.#socket, bridge).filter(({ port, group }) => port === vxlan && !group.includes(':'));
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

  /** Asks all containers which groups they want (RFC 3376 §4.1); without that what the bridge knows ends after 260 s. */
  ask(source: string): void {
    if (!this.#links || !this.#snoops) return;
    using socket = new PacketSocket({ link: this.#links.bridge, protocol: ETH_P_IP, onPacket: () => {} });
    socket.send(allHosts, igmpQuery(source));
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
  const valid = groups.every((group) => /^(22[4-9]|23[0-9])(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/.test(group));
  return valid && groups.length <= mostGroups ? groups : undefined;
}
