/**
 * The plan of rules: what a network and a published port mean for packets, without a word of any packet filter. Pure. table.ts
 * writes it for nftables, iptables-text.ts for iptables.
 *
 * ```
 * from outside ──► prerouting ─ published ports ─► forward ─ to-N: only answers and published ports ─► container
 * from the host ─► output     ─ published ports ─────────────────────────────────────────────────────► container
 * container    ──► forward ─ from-N ─► admit (marked for DOCKER-USER) ─► postrouting ─ leave-N: masquerade
 * ```
 */
import type { TransportProtocol } from '../../sdk/network-plugin.ts';

/**
 * Set on packets that our forward chain admits, read by our one rule in DOCKER-USER, and cleared in postrouting: it lives
 * only between these hooks of one packet, where no routing decision is left to be taken.
 */
export const admitMark = 0x08000000;

export type Family = 4 | 6;

/** What a network does with traffic of one family. `ours`: containers are reached only through published ports. */
export interface FamilyRules {
  /** CIDRs; empty when the network has no addresses of the family. */
  readonly pools: readonly string[];
  /** Who may open connections to containers directly: nobody (nat), anyone to published ports (routed), anyone (open). */
  readonly inbound: 'nat' | 'routed' | 'open';
  /** Source address of connections that leave the network: kept, the leaving interface's own, or the address given. */
  readonly source: 'keep' | 'masquerade' | { readonly address: string };
}

export interface NetworkRules {
  /** Part of chain names: the first 12 characters of the network's id. */
  readonly key: string;
  readonly interfaceName: string;
  /** false for a bridge that was there before: only traffic of our pools is looked at. */
  readonly wholeInterface: boolean;
  readonly internal: boolean;
  /** Whether containers of the network may open connections to each other. */
  readonly interContainer: boolean;
  readonly ipv4: FamilyRules;
  readonly ipv6: FamilyRules;
  /** Interfaces of the host whose traffic reaches containers directly. */
  readonly trustedInterfaces: readonly string[];
  /** Containers on other hosts are reached by routes; whoever sets this lets nobody else's packets pass untracked. */
  readonly direct?: boolean;
}

/** Every condition that is there must hold. */
export interface Rule {
  /** Absent: both. */
  readonly family?: Family;
  /** One of these interfaces. */
  readonly in?: readonly string[];
  readonly out?: string;
  /** answers: of a connection that was let in before. translated: by a published port. untracked: of none. */
  readonly state?: 'answers' | 'translated' | 'untracked';
  /** One of these CIDRs. */
  readonly source?: readonly string[];
  readonly icmp?: true;
  /** To a port that is opened at the container's own address. */
  readonly opened?: true;
  /** From a container to a port of another one that it is linked to. */
  readonly linked?: true;
  readonly action: 'admit' | 'drop' | 'return' | 'masquerade' | { readonly snat: string };
}

/** Where a network's packets meet its chains. */
export type ChainPlace = 'from' | 'to' | 'outside' | 'into' | 'leave';

export interface Chain {
  readonly place: ChainPlace;
  /** `from-1a2b3c4d5e6f` */
  readonly name: string;
  /** On a bridge that is not ours the chain speaks of our containers only: packets with this address in a pool. */
  readonly only?: 'source' | 'destination';
  readonly rules: readonly Rule[];
}

export function poolsOf({ ipv4, ipv6 }: NetworkRules, family: Family): readonly string[] {
  return family === 4 ? ipv4.pools : ipv6.pools;
}

/** Chains of one network. */
export function networkChains(network: NetworkRules): readonly Chain[] {
  const { key, internal, interContainer, wholeInterface, interfaceName: out } = network;
  const chain = (place: ChainPlace, rules: readonly Rule[], only?: Chain['only']): Chain => ({
    place,
    name: `${place}-${key}`,
    ...(only && !wholeInterface && { only }),
    rules,
  });
  const answers = { state: 'answers', action: 'admit' } as const;
  const translated = { state: 'translated', action: 'admit' } as const;
  const drop = { action: 'drop' } as const;
  const own: Rule[] = interContainer
    ? [{ out, action: 'admit' }]
    : [
        { out, ...answers },
        { out, ...translated },
        { out, family: 4, linked: true, action: 'admit' },
        { out, ...drop },
      ];
  const entering = internal ? [] : [translated, ...inbound(network, 4), ...inbound(network, 6), ...trusted(network)];
  const leaving = internal ? [] : [...sourceRules(network, 4), ...sourceRules(network, 6)];
  return [
    chain('from', [...own, ...(internal ? [drop] : [])], 'source'),
    chain('to', [answers, ...direct(network, 4), ...direct(network, 6), ...entering, drop], 'destination'),
    chain('outside', [{ action: 'admit' }], 'source'),
    chain('into', intoRules(network)),
    chain('leave', [{ out, action: 'return' }, ...leaving]),
  ];
}

/**
 * Whose answers would not come back this way, or could not be sent: a container that goes through a published port into its
 * own network or to itself, and the host's 127.0.0.1. By address and not by interface, for a bridged packet (br_netfilter)
 * has none here.
 */
function intoRules(network: NetworkRules): Rule[] {
  const hairpins = ([4, 6] as const).flatMap((family): Rule[] => {
    const source = poolsOf(network, family);
    return source.length === 0 ? [] : [{ family, state: 'translated', source, action: 'masquerade' }];
  });
  const loopback: Rule = { family: 4, source: ['127.0.0.0/8'], action: 'masquerade' };
  return [...hairpins, ...(network.wholeInterface && network.ipv4.pools.length > 0 ? [loopback] : [])];
}

function direct(network: NetworkRules, family: Family): Rule[] {
  const source = poolsOf(network, family);
  return network.direct && source.length > 0 ? [{ family, state: 'untracked', source, action: 'admit' }] : [];
}

function trusted({ trustedInterfaces }: NetworkRules): Rule[] {
  return trustedInterfaces.length === 0 ? [] : [{ in: trustedInterfaces, action: 'admit' }];
}

function inbound(network: NetworkRules, family: Family): Rule[] {
  const rules = family === 4 ? network.ipv4 : network.ipv6;
  if (rules.pools.length === 0 || rules.inbound === 'nat') return [];
  if (rules.inbound === 'open') return [{ family, action: 'admit' }];
  return [
    { family, icmp: true, action: 'admit' },
    { family, opened: true, action: 'admit' },
  ];
}

function sourceRules(network: NetworkRules, family: Family): Rule[] {
  const { pools, source } = family === 4 ? network.ipv4 : network.ipv6;
  if (pools.length === 0 || source === 'keep') return [];
  return [{ family, source: pools, action: source === 'masquerade' ? 'masquerade' : { snat: source.address } }];
}

/**
 * What one port or range means. publish: translated to `to`. open: let in at the container's own address `at`. loopback: at
 * [::1], and proxied: at IPv6 addresses of the host, to our own proxy. link: let in at the address `at` of a container, from
 * the address `from` of another one.
 */
export interface PortRule {
  readonly kind: 'publish' | 'open' | 'loopback' | 'proxied' | 'link';
  readonly family: Family;
  /** One address; absent: every address of the host. */
  readonly at?: string;
  /** Of link. */
  readonly from?: string;
  readonly protocol: TransportProtocol;
  readonly first: number;
  readonly last: number;
  /** Of publish; a range keeps its numbers, so `port` counts for single ports only. */
  readonly to?: { readonly address: string; readonly port: number };
}

/** Everything that the packet filter must do. */
export interface WantedRules {
  readonly networks: readonly NetworkRules[];
  readonly ports: readonly PortRule[];
  /** Chains of other services, in the language of nft(8). */
  readonly sections?: readonly string[];
  /** Where our own proxy listens, for what the kernel cannot pass on; absent: no such rules. */
  readonly proxyPort?: number;
}

/** One step from what was wanted to what is. */
export type RuleChange =
  | { readonly kind: 'put-network'; readonly network: NetworkRules; readonly before: NetworkRules | undefined }
  | { readonly kind: 'remove-network'; readonly network: NetworkRules }
  | { readonly kind: 'ports'; readonly before: readonly PortRule[]; readonly after: readonly PortRule[] };

/** A packet filter of the host: all of a change or none of it; throws when it refuses. */
export interface RuleWriter {
  /** The back end, for people: `nftables`, `iptables (legacy)`. */
  readonly name: string;
  /** What is ours in it, for lists: `table inet cleat`. */
  readonly place: { readonly kind: string; readonly name: string };
  /** Whether it can write sections. */
  readonly takesSections: boolean;
  /** Replaces all that is ours. */
  write(wanted: WantedRules): void;
  /** `wanted` is the state after the change. */
  apply(change: RuleChange, wanted: WantedRules): void;
  /** Takes all that is ours off the host; nothing when there is none. */
  remove(): void;
  /** Calls back within a second when somebody else has changed what is ours; `found` says by whom where that is known. */
  watch(onForeignChange: (found: object) => void): { close(): void };
  close(): void;
}
