/** This host among its peers: which of the addresses is its own, and what fits through the wire behind it. */

import { KernelError } from '../../linux/errors.ts';
import { type Address, listAddresses } from '../../linux/netlink/address.ts';
import { findLink, getLink } from '../../linux/netlink/link.ts';
import { getRoute } from '../../linux/netlink/route.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { PluginError } from '../../sdk/errors.ts';
import { findIp, ipRange, sameIp } from '../address/ip.ts';
import type { OverlayConfig } from './config.ts';
import type { OverlayOptions } from './options.ts';
import { tunnelMtu } from './tunnel/address.ts';

export interface Underlay {
  /** As it stands in the list of peers. */
  readonly address: string;
  /** Position in the list, which is that of the host's share. */
  readonly position: number;
  readonly family: 4 | 6;
  /** Index of the link with the address. */
  readonly link: number;
  /** Of that link. */
  readonly linkMtu: number;
}

/** RFC 7348 §5: outer Ethernet is not counted; IP, UDP 8, VXLAN 8, inner Ethernet 14. */
const overhead = { 4: 20 + 8 + 8 + 14, 6: 40 + 8 + 8 + 14 } as const;

interface Wanted {
  readonly underlay?: string | undefined;
}
type Configured = Pick<OverlayConfig, 'address' | 'underlay'>;

/** By the peers of the network, or the way to the store. Throws NET_OVERLAY_PEERS. */
export function findOwnUnderlay(
  socket: RouteSocket,
  options: Pick<OverlayOptions, 'peers' | 'store'> & Wanted,
  config: Configured & Pick<OverlayConfig, 'etcd'>,
): Underlay {
  if (options.store) return findUnderlay(socket, [ownAddress(socket, options, config, hostsOf(config.etcd))]);
  const { underlay } = options;
  return findUnderlay(socket, options.peers, underlay === undefined ? config : { underlay });
}

/** That of the interface that is wanted, or the one that is configured, or by which this host reaches others. Throws NET_OVERLAY_PEERS. */
export function ownAddress(
  socket: RouteSocket,
  { underlay: wanted }: Wanted,
  { address, underlay }: Configured,
  others: readonly string[],
): string {
  if (wanted === undefined && address !== undefined) return address;
  const name = wanted ?? underlay;
  if (name === undefined) return addressTowards(socket, others);
  const [found] = addressesOn(socket, name);
  if (found === undefined)
    throw new PluginError('NET_OVERLAY_PEERS', `the interface ${name} has no address`, { hint: 'give it one first' });
  return found.address;
}

/** Those that other hosts can know, IPv4 first. Throws NET_OVERLAY_PEERS when there is no such interface. */
function addressesOn(socket: RouteSocket, name: string): Address[] {
  const link = findLink(socket, name);
  const all = listAddresses(socket).filter(({ scope }) => scope === 'global');
  if (link) return all.filter((one) => one.link === link.index).sort((one, other) => one.family - other.family);
  const names = new Set(all.map((one) => getLink(socket, one.link).name));
  throw new PluginError('NET_OVERLAY_PEERS', `this host has no interface ${name}`, {
    hint: `interfaces with addresses are ${[...names].join(', ') || 'none'}`,
  });
}

function hostsOf(etcd: OverlayConfig['etcd']): string[] {
  return (etcd?.endpoints ?? []).map((url) => new URL(url).hostname.replace(/^\[(.*)\]$/, '$1'));
}

/** The address that this host reaches one of these by; the other's own where it is here, for so do the others. Throws NET_OVERLAY_PEERS. */
function addressTowards(socket: RouteSocket, hosts: readonly string[]): string {
  for (const host of hosts) {
    const ip = findIp(host);
    if (ip === undefined || ipRange(ip) === 'loopback') continue;
    try {
      const { type, source } = getRoute(socket, host);
      if ((type === 'unicast' || type === 'local') && source !== undefined) return source;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    }
  }
  throw new PluginError('NET_OVERLAY_PEERS', 'the address by which the other hosts reach this one is not known', {
    hint: 'give "address" in the part "overlay" of the configuration',
  });
}

/** Throws NET_OVERLAY_PEERS when the host is none of the peers. */
export function findUnderlay(socket: RouteSocket, peers: readonly string[], config: Configured = {}): Underlay {
  const { address: configured, underlay } = config;
  const here = underlay === undefined ? listAddresses(socket) : addressesOn(socket, underlay);
  for (const [position, address] of peers.entries()) {
    const ip = findIp(address);
    const found = ip && here.find((one) => isSame(one.address, ip));
    if (!found || !ip) continue;
    if (configured !== undefined && !isSame(configured, ip)) continue;
    const { index: link, mtu: linkMtu } = getLink(socket, found.link);
    return { address, position, family: ip.family, link, linkMtu };
  }
  const nobody =
    underlay !== undefined
      ? `${underlay} has none`
      : configured === undefined
        ? 'no interface of this host has any'
        : `no interface of this host has "overlay.address" ${configured} and is`;
  throw new PluginError('NET_OVERLAY_PEERS', `${nobody} of the peers ${peers.join(', ')}`, {
    hint: 'name this host too, with the address that the others reach it by; the list is the same on every host',
  });
}

/** What fits through the network: in clear straight over the link, else through the tunnel, which is IPv6 inside. */
export function overlayMtu({ family, linkMtu }: Pick<Underlay, 'family' | 'linkMtu'>, encrypted: boolean): number {
  return encrypted ? tunnelMtu(linkMtu, family) - overhead[6] : linkMtu - overhead[family];
}

function isSame(text: string, ip: NonNullable<ReturnType<typeof findIp>>): boolean {
  const other = findIp(text);
  return other !== undefined && sameIp(other, ip);
}
