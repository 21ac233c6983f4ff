/**
 * A VXLAN of the daemons alone, beside those of the networks and made the same way, so that what happens to its packets on the
 * wire happens to theirs: addresses and neighbours of all hosts, and no bridge.
 */

import { isKernelError } from '../../../linux/errors.ts';
import { activeFeatures, setFeature } from '../../../linux/ethtool.ts';
import { replaceAddress } from '../../../linux/netlink/address.ts';
import { changeLink, createLink, deleteLink, findLink, getLink, type Link } from '../../../linux/netlink/link.ts';
import {
  deleteFdbEntry,
  deleteNeighbour,
  listFdb,
  listNeighbours,
  replaceFdbEntry,
  replaceNeighbour,
} from '../../../linux/netlink/neighbour.ts';
import type { RouteSocket } from '../../../linux/netlink/route-socket.ts';
import { ensureSysctl } from '../../../linux/sysctl.ts';
import { macFromId } from '../../link/mac.ts';
import { vxlanName } from '../../link/names.ts';
import { vxlanChecksums } from '../device.ts';
import { hostAddresses } from '../host-address.ts';
import { vniOf } from '../options.ts';

const purpose = 'cleat-overlay self-test';
const vni = vniOf(purpose);
const feature = 'tx-checksum-ip-generic';
export const probeLink = vxlanName(vni);
export const { prefix: probePrefix, of: probeAddress } = hostAddresses(purpose);

export interface ProbePlan {
  /** This host on the underlay. */
  readonly host: string;
  /** UDP port of the VXLANs. */
  readonly port: number;
  readonly mtu: number;
  /** The others on the underlay. */
  readonly peers: readonly string[];
}

const macOf = (host: string) => macFromId(`${purpose} ${host}`);

/** Creates it, or brings the one that is there to the plan. */
export function ensureProbeDevice(socket: RouteSocket, { host, port, mtu, peers }: ProbePlan): void {
  const found = findLink(socket, probeLink);
  const { local, port: before } = (found?.options ?? {}) as { local?: string; port?: number };
  const fits = found?.kind === 'vxlan' && local === host && before === port;
  if (found && !fits) socket.apply(deleteLink(probeLink));
  if (!fits) {
    const options = { id: vni, local: host, port, learning: false, ...vxlanChecksums(host, false) };
    socket.apply(createLink({ kind: 'vxlan', name: probeLink, mtu, mac: macOf(host), options }));
    socket.apply(changeLink(probeLink, { alias: purpose, linkLocal: 'none' }));
    ensureSysctl(`net/ipv6/conf/${probeLink}/disable_ipv6`, 0);
  }
  socket.apply(changeLink(probeLink, { mtu, up: true }));
  const link = getLink(socket, probeLink);
  socket.apply(replaceAddress({ link: link.index, address: `${probeAddress(host)}/48`, noDad: true }));
  putPeers(socket, link, peers);
}

/** Nothing when it is not there. */
export function removeProbeDevice(socket: RouteSocket): void {
  for (const error of socket.attempt([deleteLink(probeLink)]))
    if (error && !isKernelError(error, 'ENODEV')) throw error;
}

/** Whether the link leaves checksums to the network card. */
export function leavesChecksums(link: string): boolean {
  return activeFeatures(link).has(feature);
}

/** From now on this host fills them in itself, before the packet is in the tunnel. Nothing else of the host is changed. */
export function fillChecksums(link: string): void {
  if (leavesChecksums(link)) setFeature(link, feature, false);
}

function putPeers(socket: RouteSocket, { index: link }: Link, peers: readonly string[]): void {
  const wanted = new Map(peers.map((peer) => [macOf(peer), peer]));
  const there = listFdb(socket, { link });
  for (const entry of there) {
    const { mac, destination } = entry;
    if (destination !== undefined && wanted.get(mac) !== destination)
      socket.attempt([deleteFdbEntry({ link, mac, destination, table: 'self' })]);
  }
  for (const { address, mac, state } of listNeighbours(socket, { link }))
    if (state === 'permanent' && mac !== undefined && !wanted.has(mac))
      socket.attempt([deleteNeighbour({ link, address })]);
  for (const [mac, destination] of wanted) {
    if (there.some((entry) => entry.mac === mac && entry.destination === destination)) continue;
    socket.apply(
      replaceFdbEntry({ link, mac, destination, table: 'self' }),
      replaceNeighbour({ link, address: probeAddress(destination), mac }),
    );
  }
}
