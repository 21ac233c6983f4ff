/**
 * Tells the LAN about a container's addresses when its link is up inside its sandbox, so that neighbours who knew them with
 * another MAC learn the new one at once: gratuitous ARP (RFC 5227 §3), unsolicited neighbour advertisements (RFC 4861 §7.2.6).
 * The engine moves the link after the join has been answered, so this waits for it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Link, listLinks } from '../../linux/netlink/link.ts';
import { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { type Netns, openNetns } from '../../linux/netns.ts';
import { ETH_P_ARP, ETH_P_IPV6, PacketSocket } from '../../linux/packet-socket.ts';
import { endpointAlias } from '../link/names.ts';
import { encodeArpRequest } from './arp.ts';
import { multicastMac } from './ip6.ts';
import { allNodes, encodeAnnouncement } from './ndp.ts';

const everybody = 'ff:ff:ff:ff:ff:ff';
const lookMs = 20;
const patienceMs = 5000;
/** RFC 5227 §1.1: ANNOUNCE_NUM 2. */
const announcements = 2;
const spacingMs = 100;

export interface Announced {
  readonly sandboxKey: string;
  readonly endpointId: string;
  /** Bare. */
  readonly addresses: readonly string[];
}

interface InsideLink {
  readonly name: string;
  readonly index: number;
  readonly mac: string;
  readonly up: boolean;
}

/** Works by itself and never throws; `found` gets the name that the link has inside. */
export function announceInside(announced: Announced, found: (insideName: string) => void): void {
  waitAndAnnounce(announced, found).catch(() => {
    // The sandbox went away meanwhile: nobody is left to be announced.
  });
}

/** Once and now, for a container that runs; nothing when its link is not there. */
export function announceNow(announced: Announced): void {
  try {
    const link = look(announced);
    if (link?.up) announce(announced, link);
  } catch {
    // As above.
  }
}

/** The endpoint's link in its sandbox, or undefined: by alias, which goes with it. */
export function findInside(netns: Netns, endpointId: string): InsideLink | undefined {
  using socket = new RouteSocket(netns);
  return listLinks(socket).find((link) => link.alias === endpointAlias(endpointId));
}

async function waitAndAnnounce(announced: Announced, found: (insideName: string) => void): Promise<void> {
  for (let waited = 0; waited < patienceMs; waited += lookMs) {
    await delay(lookMs, undefined, { ref: false });
    const link = look(announced);
    if (!link?.up) continue;
    found(link.name);
    for (let count = 0; count < announcements; count += 1) {
      announce(announced, link);
      await delay(spacingMs, undefined, { ref: false });
    }
    return;
  }
}

function look({ sandboxKey, endpointId }: Announced): InsideLink | undefined {
  try {
    using netns = openNetns(sandboxKey);
    return findInside(netns, endpointId);
  } catch {
    return undefined; // not there yet: Docker 20.10 makes the sandbox after the join
  }
}

function announce({ sandboxKey, addresses }: Announced, link: InsideLink): void {
  using netns = openNetns(sandboxKey);
  announceOn(link, addresses, netns);
}

/** Says on the link that the addresses have its MAC. Throws ENETDOWN. */
export function announceOn(
  { index, mac }: Pick<Link, 'index' | 'mac'>,
  addresses: readonly string[],
  netns?: Netns,
): void {
  const onPacket = () => {};
  for (const address of addresses) {
    const v6 = address.includes(':');
    const protocol = v6 ? ETH_P_IPV6 : ETH_P_ARP;
    using socket = new PacketSocket({ link: index, protocol, onPacket, ...(netns && { netns }) });
    if (v6) socket.send(multicastMac(allNodes), encodeAnnouncement(address, mac));
    else socket.send(everybody, encodeArpRequest({ senderMac: mac, senderIp: address, targetIp: address }));
  }
}
