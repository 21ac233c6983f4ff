/**
 * The text of the one nftables table `inet cleat`: what is always there, what a network adds and what a published port adds.
 * Pure: text out, nothing applied (firewall.ts does that). The manual page of cleat-bridge shows the table as the kernel has it.
 *
 * ```
 * from outside ──► prerouting ─ dnat by map ─► forward ─ to-N: only answers and published ports ─► container
 * from the host ─► output     ─ dnat by map ─────────────────────────────────────────────────────► container
 * container    ──► forward ─ from-N ─► admit (marked for DOCKER-USER) ─► postrouting ─ leave-N: masquerade
 * ```
 *
 * Ports are elements of maps, never rules, so a packet's way is the same length with 0 and with 10 000 ports. Every map has
 * two forms: a hash for single ports, and `…_ranges`, where one element is a range whose numbers are kept. (A set of ranges
 * alone would do, but the kernel copies it at each change: 40 ms at 10 000 elements, against 0.1 ms.)
 */
import type { TransportProtocol } from '../../sdk/network-plugin.ts';

/** Ours by name; nothing outside it is changed. */
export const tableName = 'cleat';

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
}

/** An element of one of the sets and maps: `publish4 { tcp . 8080 : 192.0.2.2 . 80 }`. */
export interface Element {
  readonly set: string;
  readonly key: string;
  readonly data?: string;
}

const perPort = (family: Family) => `inet_proto . inet_service : ${address(family)} . inet_service`;
const perRange = (family: Family) => `inet_proto . inet_service : ${address(family)}`;
const address = (family: Family) => (family === 4 ? 'ipv4_addr' : 'ipv6_addr');

/** name → type of every set and map of ports. */
const portSets: readonly (readonly [name: string, kind: 'map' | 'set', type: string, interval: boolean])[] = [
  ...([4, 6] as const).flatMap((family) => [
    [`publish${family}`, 'map', perPort(family), false] as const,
    [`publish${family}_ranges`, 'map', perRange(family), true] as const,
    [`publish${family}_at`, 'map', `${address(family)} . ${perPort(family)}`, false] as const,
    [`publish${family}_at_ranges`, 'map', `${address(family)} . ${perRange(family)}`, true] as const,
    [`open${family}`, 'set', `${address(family)} . inet_proto . inet_service`, false] as const,
    [`open${family}_ranges`, 'set', `${address(family)} . inet_proto . inet_service`, true] as const,
  ]),
  ...['loopback6', 'proxied6'].flatMap((name) => [
    [name, 'set', 'inet_proto . inet_service', false] as const,
    [`${name}_ranges`, 'set', 'inet_proto . inet_service', true] as const,
  ]),
  ['proxied6_at', 'set', 'ipv6_addr . inet_proto . inet_service', false],
  ['proxied6_at_ranges', 'set', 'ipv6_addr . inet_proto . inet_service', true],
];

/** `proxyPort`: where our own proxy listens, for what the kernel cannot pass on; absent: no such rules. */
export interface TableOptions {
  readonly proxyPort?: number;
}

/** The table without any network or port: the body between its braces. */
export function skeleton({ proxyPort }: TableOptions = {}): string {
  const redirect = (match: string) =>
    proxyPort ? [`${match} meta l4proto { tcp, udp } redirect to :${proxyPort}`] : [];
  const key = 'meta l4proto . th dport';
  return [
    ...['from', 'to', 'outside', 'into', 'leave'].map((name) => block(`map ${name}`, ['type ifname : verdict'])),
    block('set bridges', ['type ifname']),
    ...portSets.map(([name, kind, type, interval]) =>
      block(`${kind} ${name}`, [`type ${type}`, ...(interval ? ['flags interval'] : [])]),
    ),
    block('chain admit', [`meta mark set meta mark | ${hex(admitMark)} accept`]),
    block('chain guard', [
      'type filter hook prerouting priority raw; policy accept;',
      // route_localnet on our bridges lets 127.0.0.1 of the host reach published ports; nothing on them may use it.
      'iifname @bridges ip daddr 127.0.0.0/8 drop',
      'iifname @bridges ip saddr 127.0.0.0/8 drop',
    ]),
    block('chain published4', [
      `dnat ip to ip daddr . ${key} map @publish4_at`,
      `dnat ip to ip daddr . ${key} map @publish4_at_ranges`,
      'fib daddr type != local return',
      `dnat ip to ${key} map @publish4`,
      `dnat ip to ${key} map @publish4_ranges`,
    ]),
    block('chain published6', [
      `dnat ip6 to ip6 daddr . ${key} map @publish6_at`,
      `dnat ip6 to ip6 daddr . ${key} map @publish6_at_ranges`,
      ...redirect(`ip6 daddr . ${key} @proxied6_at`),
      ...redirect(`ip6 daddr . ${key} @proxied6_at_ranges`),
      'fib daddr type != local return',
      ...redirect(`ip6 daddr ::1 ${key} @loopback6`),
      ...redirect(`ip6 daddr ::1 ${key} @loopback6_ranges`),
      'ip6 daddr ::1 return',
      `dnat ip6 to ${key} map @publish6`,
      `dnat ip6 to ${key} map @publish6_ranges`,
      ...redirect(`${key} @proxied6`),
      ...redirect(`${key} @proxied6_ranges`),
    ]),
    block('chain prerouting', [
      'type nat hook prerouting priority dstnat - 5; policy accept;',
      // Without this a neighbour could reach ports that are published on 127.0.0.1 only.
      'ip daddr 127.0.0.0/8 return',
      'meta nfproto ipv4 jump published4',
      'meta nfproto ipv6 jump published6',
    ]),
    block('chain output', [
      'type nat hook output priority -105; policy accept;',
      'meta nfproto ipv4 jump published4',
      'meta nfproto ipv6 jump published6',
    ]),
    block('chain forward', [
      'type filter hook forward priority filter - 5; policy accept;',
      'iifname vmap @from',
      'oifname vmap @to',
      'iifname vmap @outside',
    ]),
    block('chain postrouting', [
      'type nat hook postrouting priority srcnat - 5; policy accept;',
      'oifname vmap @into',
      'iifname vmap @leave',
    ]),
    block('chain unmark', [
      'type filter hook postrouting priority filter; policy accept;',
      `meta mark & ${hex(admitMark)} == ${hex(admitMark)} meta mark set meta mark & ${hex(~admitMark >>> 0)}`,
    ]),
  ].join('\n');
}

/** Chains of one network, by name, with their rules. */
export function networkChains(network: NetworkRules): ReadonlyMap<string, readonly string[]> {
  const { key, internal, interContainer } = network;
  const same = `oifname "${network.interfaceName}"`;
  const answers = 'ct state established,related goto admit';
  return new Map([
    [
      `from-${key}`,
      [
        ...onlyPools(network, 'saddr'),
        ...(interContainer
          ? [`${same} goto admit`]
          : [`${same} ${answers}`, `${same} ct status dnat goto admit`, `${same} drop`]),
        ...(internal ? ['drop'] : []),
      ],
    ],
    [
      `to-${key}`,
      [
        ...onlyPools(network, 'daddr'),
        answers,
        ...(internal
          ? []
          : ['ct status dnat goto admit', ...inbound(network, 4), ...inbound(network, 6), ...trusted(network)]),
        'drop',
      ],
    ],
    [`outside-${key}`, [...onlyPools(network, 'saddr'), 'goto admit']],
    [`into-${key}`, intoRules(network)],
    [
      `leave-${key}`,
      [
        `${same} return`,
        ...(internal ? [] : [...sourceRules('ip', network.ipv4), ...sourceRules('ip6', network.ipv6)]),
      ],
    ],
  ]);
}

/** Set elements that lead packets into a network's chains. */
export function networkElements({ key, interfaceName, wholeInterface }: NetworkRules): Element[] {
  const name = `"${interfaceName}"`;
  return [
    { set: 'from', key: name, data: `jump from-${key}` },
    { set: 'to', key: name, data: `goto to-${key}` },
    { set: 'outside', key: name, data: `goto outside-${key}` },
    { set: 'into', key: name, data: `jump into-${key}` },
    { set: 'leave', key: name, data: `goto leave-${key}` },
    // 127.0.0.0/8 is guarded only where we let it in.
    ...(wholeInterface ? [{ set: 'bridges', key: name }] : []),
  ];
}

/** Commands that add a network, or bring its chains to what they must be now. */
export function addNetworkText(network: NetworkRules): string {
  const chains = networkChains(network);
  return [
    ...[...chains.keys()].flatMap((name) => [
      `add chain inet ${tableName} ${name}`,
      `flush chain inet ${tableName} ${name}`,
    ]),
    ...[...chains].flatMap(([name, rules]) => rules.map((rule) => `add rule inet ${tableName} ${name} ${rule}`)),
    elementsText('add', networkElements(network)),
  ].join('\n');
}

export function removeNetworkText(network: NetworkRules): string {
  const names = [...networkChains(network).keys()];
  return [
    elementsText('delete', networkElements(network)),
    ...names.map((name) => `flush chain inet ${tableName} ${name}`),
    ...names.map((name) => `delete chain inet ${tableName} ${name}`),
  ].join('\n');
}

/** `add element inet cleat publish4 { … }`, one command for each set. Deleting names keys only. */
export function elementsText(verb: 'add' | 'delete', elements: readonly Element[]): string {
  const sets = Map.groupBy(elements, (element) => element.set);
  return [...sets]
    .map(([set, members]) => {
      const texts = members.map(({ key, data }) =>
        data === undefined || verb === 'delete' ? key : `${key} : ${data}`,
      );
      return `${verb} element inet ${tableName} ${set} { ${texts.join(', ')} }`;
    })
    .join('\n');
}

/** Everything, as one transaction that replaces whatever is there. */
export function wholeTableText(
  networks: Iterable<NetworkRules>,
  elements: readonly Element[],
  options: TableOptions = {},
  sections: Iterable<string> = [],
): string {
  const all = [...networks];
  return [
    `add table inet ${tableName}`,
    `delete table inet ${tableName}`,
    `table inet ${tableName} {\n${[skeleton(options), ...sections].join('\n')}\n}`,
    ...all.map(addNetworkText),
    ...(elements.length > 0 ? [elementsText('add', elements)] : []),
  ].join('\n');
}

/** `tcp . 8080` or `tcp . 8000-8099`. */
export function portKey(protocol: TransportProtocol, port: number, portEnd: number): string {
  return `${protocol} . ${port === portEnd ? port : `${port}-${portEnd}`}`;
}

/**
 * Whose answers would not come back this way, or could not be sent: a container that goes through a published port into its
 * own network or to itself, and the host's 127.0.0.1. By address and not by interface, for a bridged packet (br_netfilter)
 * has none here.
 */
function intoRules({ ipv4, ipv6, wholeInterface }: NetworkRules): string[] {
  return [
    ...([4, 6] as const).flatMap((family) => {
      const { pools } = family === 4 ? ipv4 : ipv6;
      return pools.length === 0
        ? []
        : [`ct status dnat ${family === 4 ? 'ip' : 'ip6'} saddr { ${pools.join(', ')} } masquerade`];
    }),
    ...(wholeInterface && ipv4.pools.length > 0 ? ['ip saddr 127.0.0.0/8 masquerade'] : []),
  ];
}

/** On a bridge that is not ours, rules speak of our containers only. */
function onlyPools({ wholeInterface, ipv4, ipv6 }: NetworkRules, direction: 'saddr' | 'daddr'): string[] {
  if (wholeInterface) return [];
  return [returnOutside('ip', 'ipv4', ipv4.pools, direction), returnOutside('ip6', 'ipv6', ipv6.pools, direction)];
}

function returnOutside(family: string, protocol: string, pools: readonly string[], direction: string): string {
  return pools.length === 0
    ? `meta nfproto ${protocol} return`
    : `${family} ${direction} != { ${pools.join(', ')} } return`;
}

function trusted({ trustedInterfaces }: NetworkRules): string[] {
  if (trustedInterfaces.length === 0) return [];
  return [`iifname { ${trustedInterfaces.map((name) => `"${name}"`).join(', ')} } goto admit`];
}

function inbound(network: NetworkRules, family: Family): string[] {
  const rules = family === 4 ? network.ipv4 : network.ipv6;
  if (rules.pools.length === 0 || rules.inbound === 'nat') return [];
  if (rules.inbound === 'open') return [`meta nfproto ipv${family} goto admit`];
  const [ip, icmp] = family === 4 ? ['ip', 'icmp'] : ['ip6', 'ipv6-icmp'];
  return [
    `meta nfproto ipv${family} meta l4proto ${icmp} goto admit`,
    ...['', '_ranges'].map((form) => `${ip} daddr . meta l4proto . th dport @open${family}${form} goto admit`),
  ];
}

function sourceRules(family: 'ip' | 'ip6', { pools, source }: FamilyRules): string[] {
  if (pools.length === 0 || source === 'keep') return [];
  const action = source === 'masquerade' ? 'masquerade' : `snat ${family} to ${source.address}`;
  return [`${family} saddr { ${pools.join(', ')} } ${action}`];
}

function block(head: string, lines: readonly string[]): string {
  return `  ${head} {\n${lines.map((line) => `    ${line}`).join('\n')}\n  }`;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
