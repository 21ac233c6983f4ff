/**
 * Tells the LAN about a container's address when its link is up inside its sandbox, so that neighbours who knew the address
 * with another MAC learn the new one at once (gratuitous ARP, RFC 5227 §3). For IPv6 the kernel does it when told to
 * (ndisc_notify, RFC 4861 §7.2.6). The engine moves the link after the join has been answered, so this waits for it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { findLink, listLinks } from '../../linux/netlink/link.ts';
import { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { type Netns, openNetns } from '../../linux/netns.ts';
import { ETH_P_ARP, PacketSocket } from '../../linux/packet-socket.ts';
import { endpointAlias } from '../link/names.ts';
import { encodeArpRequest } from './arp.ts';
import type { LanEndpointRecord } from './records.ts';

const everybody = 'ff:ff:ff:ff:ff:ff';
const lookMs = 20;
const patienceMs = 5000;
/** RFC 5227 §1.1: ANNOUNCE_NUM 2. */
const announcements = 2;

/** Works by itself and never throws; `found` gets the name that the link has inside. */
export function announceInside(
  sandboxKey: string,
  endpoint: LanEndpointRecord,
  found: (insideName: string) => void,
): void {
  waitAndAnnounce(sandboxKey, endpoint, found).catch(() => {
    // The sandbox went away meanwhile: nobody is left to be announced.
  });
}

/** The endpoint's link in its sandbox, or undefined: by alias, which goes with it. */
export function findInside(
  netns: Netns,
  endpointId: string,
): { readonly name: string; readonly index: number; readonly mac: string; readonly up: boolean } | undefined {
  using socket = new RouteSocket(netns);
  return listLinks(socket).find((link) => link.alias === endpointAlias(endpointId));
}

async function waitAndAnnounce(
  sandboxKey: string,
  endpoint: LanEndpointRecord,
  found: (insideName: string) => void,
): Promise<void> {
  for (let waited = 0; waited < patienceMs; waited += lookMs) {
    await delay(lookMs);
    const link = look(sandboxKey, endpoint.endpointId);
    if (link === undefined || !link.up) continue;
    found(link.name);
    for (let count = 0; count < announcements; count += 1) {
      announce(sandboxKey, endpoint, link);
      await delay(100);
    }
    return;
  }
}

function look(sandboxKey: string, endpointId: string): ReturnType<typeof findInside> {
  try {
    using netns = openNetns(sandboxKey);
    return findInside(netns, endpointId);
  } catch {
    return undefined; // not there yet: Docker 20.10 makes the sandbox after the join
  }
}

function announce(
  sandboxKey: string,
  endpoint: LanEndpointRecord,
  link: { readonly index: number; readonly mac: string },
): void {
  const ip = endpoint.address?.split('/')[0];
  if (ip === undefined) return;
  using netns = openNetns(sandboxKey);
  using route = new RouteSocket(netns);
  if (findLink(route, link.index) === undefined) return;
  using socket = new PacketSocket({ netns, link: link.index, protocol: ETH_P_ARP, onPacket: () => {} });
  socket.send(everybody, encodeArpRequest({ senderMac: link.mac, senderIp: ip, targetIp: ip }));
}
