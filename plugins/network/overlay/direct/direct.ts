/**
 * The way without VXLAN to hosts on the same segment (`cleat.direct`): packets go as they are, routed by the hosts.
 *
 *     container ─ bridge ─ route ─ eth0 ══ eth0 ─ route ─ bridge ─ container
 *
 * forwarding.ts has the routes, and the bridge answering for the addresses behind them; the VXLAN's entries stay beside them,
 * for broadcasts, and for containers that still know the other one's own MAC. Here is whom packets are taken from (rules.ts),
 * which is written down: a daemon that begins again has to write rules before it has heard anybody.
 */

import { isIPv6 } from 'node:net';
import { findSysctl, writeSysctl } from '../../../linux/sysctl.ts';
import type { Store, Table } from '../../../store/store.ts';
import { type Cidr, cidrHasCidr, cidrHasIp, parseCidr } from '../../address/cidr.ts';
import { addressBits, type Family, findIp, formatIp } from '../../address/ip.ts';
import { findMac, isUnicastMac } from '../../address/mac.ts';
import type { Firewall } from '../../publish/firewall.ts';
import type { RemoteHost } from '../remote.ts';
import { type DirectTraffic, directRules } from './rules.ts';

const section = 'direct';

export interface DirectPeer {
  /** On the underlay. */
  readonly host: string;
  readonly mac: string;
}

export type DirectUse = Omit<DirectTraffic, 'macs'>;

interface DirectRecord {
  readonly peers: readonly DirectPeer[];
}

export class Direct {
  readonly #firewall: Firewall;
  readonly #records: Table<DirectRecord>;
  readonly #uses = new Map<string, DirectUse>();
  #started = false;

  constructor(parts: { readonly store: Store; readonly firewall: Firewall }) {
    this.#firewall = parts.firewall;
    this.#records = parts.store.table<DirectRecord>('overlay.direct', { version: 1 });
  }

  /** The table is written: from now on rules go into the kernel at once. Forgets networks that are gone. */
  started(): void {
    this.#started = true;
    for (const [network] of this.#records.entries()) if (!this.#uses.has(network)) this.#records.delete(network);
  }

  /** A network takes part; may be repeated. Throws NET_FIREWALL. */
  open(network: string, use: DirectUse): void {
    answerAtOnce(use);
    this.#uses.set(network, use);
    this.#put();
  }

  /** Whom packets are taken from. With `keep`, also from whom they were: who is missing may not have spoken yet. Throws NET_FIREWALL. */
  update(network: string, peers: readonly DirectPeer[], keep: boolean): void {
    const before = this.#peers(network);
    const kept = keep ? before.filter(({ host }) => !peers.some((peer) => peer.host === host)) : [];
    const after = [...peers, ...kept].sort((a, b) => (a.host < b.host ? -1 : 1));
    if (JSON.stringify(after) === JSON.stringify(before)) return;
    this.#records.put(network, { peers: after });
    this.#put();
  }

  close(network: string): void {
    if (!this.#uses.delete(network)) return;
    this.#records.delete(network);
    this.#put();
  }

  #peers(network: string): readonly DirectPeer[] {
    return this.#records.get(network)?.peers ?? [];
  }

  #put(): void {
    const networks = [...this.#uses].map(([network, use]) => ({
      ...use,
      macs: [...new Set(this.#peers(network).map(({ mac }) => mac))],
    }));
    const rules = directRules(networks);
    if (this.#started) this.#firewall.putSection(section, rules);
    else this.#firewall.noteSection(section, rules);
  }
}

/** A proxy's answers are held back for up to 0.8 s by default, and with IPv6 there are none at all. */
function answerAtOnce({ bridge, pools }: DirectUse): void {
  const settings = {
    [`net/ipv4/neigh/${bridge}/proxy_delay`]: '0',
    ...(pools.some((pool) => pool.includes(':')) && {
      [`net/ipv6/neigh/${bridge}/proxy_delay`]: '0',
      [`net/ipv6/conf/${bridge}/proxy_ndp`]: '1',
    }),
  };
  for (const [name, value] of Object.entries(settings)) {
    const found = findSysctl(name);
    if (found !== undefined && found !== value) writeSysctl(name, value);
  }
}

/** What a host says of itself when it takes part. */
export interface DirectHost {
  /** That it sends by. */
  readonly mac: string;
  /** Where it takes packets of IPv6, when its address on the underlay is of IPv4. */
  readonly linkLocal?: string;
}

const linkLocals = parseCidr('fe80::/10');

/** undefined: it does not take part. Pure. */
export function readDirect({ attributes }: Pick<RemoteHost, 'attributes'>): DirectHost | undefined {
  const mac = findMac(attributes['direct'] ?? '');
  if (mac === undefined || !isUnicastMac(mac)) return undefined;
  const ip = findIp(attributes['directLinkLocal'] ?? '');
  return { mac, ...(ip && cidrHasIp(linkLocals, ip) && { linkLocal: formatIp(ip) }) };
}

/** The other way round. Pure. */
export function directAttributes({ mac, linkLocal }: DirectHost): Record<string, string> {
  return { direct: mac, ...(linkLocal !== undefined && { directLinkLocal: linkLocal }) };
}

/** Where a host on the segment is sent packets of the family; undefined: nowhere, they go by VXLAN. Pure. */
export function nextHop(
  host: string,
  { linkLocal }: Pick<DirectHost, 'linkLocal'>,
  family: Family,
): string | undefined {
  const own = isIPv6(host) ? 6 : 4;
  return family === own ? host : family === 6 ? linkLocal : undefined;
}

/**
 * What is routed to a host: its ranges, or each of its addresses where it has none or where one is the whole subnet, whose route
 * is the bridge's own. Pure.
 */
export function directRanges(
  { ranges, endpoints }: Pick<RemoteHost, 'ranges' | 'endpoints'>,
  pools: readonly Cidr[],
): Cidr[] {
  const parts = ranges.filter((range) => pools.some((pool) => cidrHasCidr(pool, range) && range.prefix > pool.prefix));
  if (parts.length > 0) return parts;
  const ips = endpoints.flatMap(({ addresses }) => addresses.flatMap((address) => findIp(address) ?? []));
  return ips
    .map(({ family, value }): Cidr => ({ family, network: value, prefix: addressBits[family] }))
    .filter((one) => pools.some((pool) => cidrHasCidr(pool, one) && one.prefix > pool.prefix));
}
