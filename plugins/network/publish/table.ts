/**
 * The plan of rules (rules.ts) as text for nftables: the one table `inet cleat`. Pure: text out, nothing applied (nft-writer.ts does
 * that). The manual page of cleat-bridge shows the table as the kernel has it.
 *
 * Ports are elements of maps, never rules, so a packet's way is the same length with 0 and with 10 000 ports. Every map has
 * two forms: a hash for single ports, and `…_ranges`, where one element is a range whose numbers are kept. (A set of ranges
 * alone would do, but the kernel copies it at each change: 40 ms at 10 000 elements, against 0.1 ms.)
 */
import {
  admitMark,
  type Chain,
  type Family,
  type NetworkRules,
  networkChains,
  type PortRule,
  poolsOf,
  type Rule,
  type RuleChange,
  type WantedRules,
} from './rules.ts';

/** Ours by name; nothing outside it is changed. */
export const tableName = 'cleat';

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
  ['links4', 'set', 'ipv4_addr . ipv4_addr . inet_proto . inet_service', false],
  ['proxied6_at', 'set', 'ipv6_addr . inet_proto . inet_service', false],
  ['proxied6_at_ranges', 'set', 'ipv6_addr . inet_proto . inet_service', true],
];

/** The table without any network or port: the body between its braces. */
export function skeleton(proxyPort?: number): string {
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
    ...chains.flatMap(({ name }) => [`add chain inet ${tableName} ${name}`, `flush chain inet ${tableName} ${name}`]),
    ...chains.flatMap((chain) =>
      chainText(chain, network).map((rule) => `add rule inet ${tableName} ${chain.name} ${rule}`),
    ),
    elementsText('add', networkElements(network)),
  ].join('\n');
}

export function removeNetworkText(network: NetworkRules): string {
  const names = networkChains(network).map(({ name }) => name);
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
export function wholeTableText({ networks, ports, sections = [], proxyPort }: WantedRules): string {
  return [
    removeTableText(),
    `table inet ${tableName} {\n${[skeleton(proxyPort), ...sections].join('\n')}\n}`,
    ...networks.map(addNetworkText),
    elementsText('add', ports.map(portElement)),
  ]
    .filter((text) => text !== '')
    .join('\n');
}

/** Success also when there is none. */
export function removeTableText(): string {
  return `add table inet ${tableName}\ndelete table inet ${tableName}`;
}

/** The commands of one step; '' when nothing changes. */
export function changeText(change: RuleChange): string {
  if (change.kind === 'remove-network') return removeNetworkText(change.network);
  if (change.kind === 'put-network') {
    const { network, before } = change;
    const removal = before && before.interfaceName !== network.interfaceName ? [removeNetworkText(before)] : [];
    return [...removal, addNetworkText(network)].join('\n');
  }
  const commands = [
    elementsText('delete', change.before.map(portElement)),
    elementsText('add', change.after.map(portElement)),
  ];
  return commands.filter((text) => text !== '').join('\n');
}

/** The element that a port is. */
export function portElement({ kind, family, at, from, protocol, first, last, to }: PortRule): Element {
  const range = first !== last;
  if (kind === 'link') return { set: 'links4', key: `${from} . ${at} . ${protocol} . ${first}` };
  const set = `${kind}${family}${at !== undefined && kind !== 'open' ? '_at' : ''}${range ? '_ranges' : ''}`;
  const port = `${protocol} . ${range ? `${first}-${last}` : first}`;
  const key = at === undefined ? port : `${at} . ${port}`;
  return { set, key, ...(to && { data: range ? to.address : `${to.address} . ${to.port}` }) };
}

/** A chain of the plan as rules of nft(8). */
export function chainText({ only, rules }: Chain, network: NetworkRules): string[] {
  const guards = only === undefined ? [] : ([4, 6] as const).map((family) => returnOthers(network, family, only));
  return [...guards, ...rules.flatMap(ruleText)];
}

function returnOthers(network: NetworkRules, family: Family, only: 'source' | 'destination'): string {
  const pools = poolsOf(network, family);
  if (pools.length === 0) return `meta nfproto ipv${family} return`;
  return `${ip(family)} ${only === 'source' ? 'saddr' : 'daddr'} != ${oneOf(pools)} return`;
}

const stateTexts = {
  answers: 'ct state established,related',
  translated: 'ct status dnat',
  untracked: 'ct state untracked',
} as const;

function ruleText(rule: Rule): string[] {
  const { family, source, action } = rule;
  const conditions = [
    ...(rule.in ? [`iifname ${oneOf(rule.in.map((name) => `"${name}"`))}`] : []),
    ...(rule.out === undefined ? [] : [`oifname "${rule.out}"`]),
    ...(rule.state ? [stateTexts[rule.state]] : []),
    ...(family && source ? [`${ip(family)} saddr ${oneOf(source)}`] : []),
    ...(family && !source && !rule.opened && !rule.linked ? [`meta nfproto ipv${family}`] : []),
    ...(rule.linked ? ['ip saddr . ip daddr . meta l4proto . th dport @links4'] : []),
    ...(rule.icmp ? [`meta l4proto ${family === 4 ? 'icmp' : 'ipv6-icmp'}`] : []),
  ];
  const last = verdict(action, family ?? 4);
  if (!family || !rule.opened) return [[...conditions, last].join(' ')];
  const opened = (set: string) => `${ip(family)} daddr . meta l4proto . th dport @${set}`;
  return [`open${family}`, `open${family}_ranges`].map((set) => [...conditions, opened(set), last].join(' '));
}

function verdict(action: Rule['action'], family: Family): string {
  if (typeof action === 'object') return `snat ${ip(family)} to ${action.snat}`;
  return action === 'admit' ? 'goto admit' : action;
}

function ip(family: Family): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6';
}

function oneOf(values: readonly string[]): string {
  return `{ ${values.join(', ')} }`;
}

function block(head: string, lines: readonly string[]): string {
  return `  ${head} {\n${lines.map((line) => `    ${line}`).join('\n')}\n  }`;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
