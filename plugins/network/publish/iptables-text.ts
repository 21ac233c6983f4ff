/**
 * The plan of rules (rules.ts) as text for iptables-restore --noflush, for hosts without nftables: chains `CLEAT-…` in four tables, each
 * entered by one jump at the head of a chain of the kernel's. Pure: text in, text out (iptables-writer.ts applies it).
 *
 * ```
 * raw     PREROUTING  ─► CLEAT-GUARD        nothing on our bridges may use 127.0.0.0/8
 * nat     PREROUTING  ─► CLEAT-PREROUTING ─► CLEAT-PUBLISHED ◄─ OUTPUT
 * filter  FORWARD     ─► CLEAT-FORWARD ─► CLEAT-from-N, CLEAT-to-N, CLEAT-outside-N ─► CLEAT-ADMIT (mark)
 * nat     POSTROUTING ─► CLEAT-POSTROUTING ─► CLEAT-into-N, CLEAT-leave-N
 * mangle  POSTROUTING ─► CLEAT-UNMARK
 * ```
 *
 * What differs from the table of nftables: a port is a rule and no element, so a packet's way grows with the number of ports;
 * and what is admitted goes on through FORWARD with its mark, since there is but one table for all.
 */
import {
  admitMark,
  type Chain,
  type ChainPlace,
  type Family,
  type NetworkRules,
  networkChains,
  type PortRule,
  poolsOf,
  type Rule,
  type WantedRules,
} from './rules.ts';

export const chainPrefix = 'CLEAT-';

/** Ours begin with a jump at the head of these. */
const hooks = [
  { table: 'raw', builtin: 'PREROUTING', chain: `${chainPrefix}GUARD`, family: 4 },
  { table: 'mangle', builtin: 'POSTROUTING', chain: `${chainPrefix}UNMARK` },
  { table: 'nat', builtin: 'PREROUTING', chain: `${chainPrefix}PREROUTING` },
  { table: 'nat', builtin: 'OUTPUT', chain: `${chainPrefix}PUBLISHED` },
  { table: 'nat', builtin: 'POSTROUTING', chain: `${chainPrefix}POSTROUTING` },
  { table: 'filter', builtin: 'FORWARD', chain: `${chainPrefix}FORWARD` },
] as const;

type TableName = (typeof hooks)[number]['table'];
const tables: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter'];

/** Chain → what iptables(8) reads behind `-A CHAIN`. */
type Chains = ReadonlyMap<string, readonly string[]>;

const mark = `0x${admitMark.toString(16)}`;
const marked = `-m mark --mark ${mark}/${mark}`;
const unmark = `-j MARK --set-xmark 0x0/${mark}`;

/** The chains of every table as they must be. */
export function iptablesChains(family: Family, wanted: WantedRules): ReadonlyMap<TableName, Chains> {
  const networks = wanted.networks.map((network) => ({ network, chains: networkChains(network) }));
  const of = (...places: ChainPlace[]) =>
    networks.flatMap(({ network, chains }) =>
      chains.filter(({ place }) => places.includes(place)).map((chain) => ({ network, chain })),
    );
  const bodies = (...places: ChainPlace[]) =>
    of(...places).map(({ chain }) => [ours(chain), chain.rules.flatMap((rule) => ruleLines(rule, family))] as const);
  const jumps = (place: ChainPlace, direction: '-i' | '-o' | '', how: '-j' | '-g') =>
    of(place).flatMap(({ network, chain }) =>
      addresses(chain, network, family).map((address) =>
        [direction && `${direction} ${network.interfaceName}`, address, `${how} ${ours(chain)}`]
          .filter((part) => part !== '')
          .join(' '),
      ),
    );
  const guarded = networks.filter(({ network }) => network.wholeInterface).map(({ network }) => network.interfaceName);
  return new Map<TableName, Chains>([
    [
      'raw',
      new Map([
        [
          `${chainPrefix}GUARD`,
          family === 6
            ? []
            : guarded.flatMap((name) => ['-d', '-s'].map((end) => `${end} 127.0.0.0/8 -i ${name} -j DROP`)),
        ],
      ]),
    ],
    ['mangle', new Map([[`${chainPrefix}UNMARK`, [`${marked} ${unmark}`]]])],
    [
      'nat',
      new Map([
        [
          `${chainPrefix}PREROUTING`,
          // Without this a neighbour could reach ports that are published on 127.0.0.1 only.
          [...(family === 4 ? ['-d 127.0.0.0/8 -j RETURN'] : []), `-j ${chainPrefix}PUBLISHED`],
        ],
        [`${chainPrefix}PUBLISHED`, publishedLines(family, wanted)],
        [`${chainPrefix}POSTROUTING`, [...jumps('into', '-o', '-j'), ...jumps('leave', '', '-j')]],
        ...bodies('into', 'leave'),
      ]),
    ],
    [
      'filter',
      new Map([
        // What is admitted must not be judged again by the next network's chain, so the mark, which is nobody's before, is asked.
        [
          `${chainPrefix}FORWARD`,
          [
            unmark,
            ...jumps('from', '-i', '-j'),
            `${marked} -j RETURN`,
            ...jumps('to', '-o', '-g'),
            ...jumps('outside', '-i', '-g'),
          ],
        ],
        [`${chainPrefix}ADMIT`, [`-j MARK --set-xmark ${mark}/${mark}`]],
        [`${chainPrefix}OPEN`, openLines(family, wanted.ports)],
        [`${chainPrefix}LINKS`, linkLines(family, wanted.ports)],
        ...bodies('from', 'to', 'outside'),
      ]),
    ],
  ]);
}

/** Matches that lead into the chain: all packets, or those of each pool. None when the network has nothing of the family. */
function addresses(chain: Chain, network: NetworkRules, family: Family): string[] {
  if (chain.only === undefined) return [''];
  return poolsOf(network, family).map((pool) => `${chain.only === 'source' ? '-s' : '-d'} ${pool}`);
}

function ours({ name }: Chain): string {
  return `${chainPrefix}${name}`;
}

/** No line when the rule is of the other family, several when it has several addresses or interfaces. */
function ruleLines(rule: Rule, family: Family): string[] {
  if (rule.family !== undefined && rule.family !== family) return [];
  if (rule.opened) return [`-j ${chainPrefix}OPEN`];
  if (rule.linked) return [`-o ${rule.out} -j ${chainPrefix}LINKS`];
  const rest = [
    ...(rule.out === undefined ? [] : [`-o ${rule.out}`]),
    ...(rule.icmp ? [`-p ${family === 4 ? 'icmp' : 'ipv6-icmp'}`] : []),
    ...(rule.state ? [`-m conntrack --ctstate ${states[rule.state]}`] : []),
    target(rule.action),
  ].join(' ');
  const sources = rule.source?.map((cidr) => `-s ${cidr} `) ?? [''];
  const interfaces = rule.in?.map((name) => `-i ${name} `) ?? [''];
  return sources.flatMap((source) => interfaces.map((name) => `${source}${name}${rest}`));
}

const states = { answers: 'RELATED,ESTABLISHED', translated: 'DNAT', untracked: 'UNTRACKED' } as const;

function target(action: Rule['action']): string {
  if (typeof action === 'object') return `-j SNAT --to-source ${action.snat}`;
  return { admit: `-g ${chainPrefix}ADMIT`, drop: '-j DROP', return: '-j RETURN', masquerade: '-j MASQUERADE' }[action];
}

/** As the chains published4 and published6 of the nftables table: one address first, then every address of the host. */
function publishedLines(family: Family, { ports, proxyPort }: WantedRules): string[] {
  const own = ports.filter((port) => port.family === family);
  const lines = (kind: PortRule['kind'], everywhere: boolean) =>
    own
      .filter((port) => port.kind === kind && (port.at === undefined) === everywhere)
      .flatMap((port) => {
        const aim = kind === 'publish' ? destination(port) : proxyPort && `REDIRECT --to-ports ${proxyPort}`;
        if (!aim) return [];
        const at =
          kind === 'loopback'
            ? '-d ::1/128 '
            : port.at === undefined
              ? ''
              : `-d ${port.at}/${family === 4 ? 32 : 128} `;
        return [`${at}${portMatch(port)} -j ${aim}`];
      });
  return [
    ...lines('publish', false),
    ...lines('proxied', false),
    '-m addrtype ! --dst-type LOCAL -j RETURN',
    ...(family === 6 ? [...lines('loopback', true), '-d ::1/128 -j RETURN'] : []),
    ...lines('publish', true),
    ...lines('proxied', true),
  ];
}

function destination({ first, last, to, family }: PortRule): string | undefined {
  if (to === undefined) return undefined;
  const single = family === 4 ? `${to.address}:${to.port}` : `[${to.address}]:${to.port}`;
  return `DNAT --to-destination ${first === last ? single : to.address}`;
}

function openLines(family: Family, ports: readonly PortRule[]): string[] {
  return ports
    .filter((port) => port.family === family && port.kind === 'open')
    .map((port) => `-d ${port.at}/${family === 4 ? 32 : 128} ${portMatch(port)} -g ${chainPrefix}ADMIT`);
}

function linkLines(family: Family, ports: readonly PortRule[]): string[] {
  return ports
    .filter((port) => port.family === family && port.kind === 'link')
    .map((port) => `-s ${port.from}/32 -d ${port.at}/32 ${portMatch(port)} -g ${chainPrefix}ADMIT`);
}

function portMatch({ protocol, first, last }: PortRule): string {
  return `-p ${protocol} -m ${protocol} --dport ${first === last ? first : `${first}:${last}`}`;
}

/** What iptables-save(8) shows of ours. */
export interface Present {
  /** Table → our chains there. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  /** Places of jumps into our chains, by `TABLE BUILTIN CHAIN`, counted from 0. */
  readonly jumps: ReadonlyMap<string, readonly number[]>;
  /** The same and the rules themselves as one text, to be compared. */
  readonly fingerprint: string;
}

export function readPresent(save: string): Present {
  const chains = new Map<string, string[]>();
  const jumps = new Map<string, number[]>();
  const seen: string[] = [];
  const counts = new Map<string, number>();
  let table = '';
  for (const line of save.split('\n')) {
    if (line.startsWith('*')) {
      table = line.slice(1);
      counts.clear();
    }
    const name = /^:(\S+)/.exec(line)?.[1];
    if (name?.startsWith(chainPrefix)) chains.set(table, [...(chains.get(table) ?? []), name]);
    const rule = /^-A (\S+) (.*)$/.exec(line);
    if (!rule) continue;
    const [, chain = '', body = ''] = rule;
    const place = counts.get(chain) ?? 0;
    counts.set(chain, place + 1);
    const aim = new RegExp(`^-j (${chainPrefix}\\S+)$`).exec(body)?.[1];
    if (chain.startsWith(chainPrefix)) seen.push(`${table} ${line}`);
    else if (aim !== undefined) {
      const key = `${table} ${chain} ${aim}`;
      jumps.set(key, [...(jumps.get(key) ?? []), place]);
      seen.push(`${key} ${place}`);
    }
  }
  return { chains, jumps, fingerprint: seen.join('\n') };
}

/** Brings the host from what is present to what is wanted; each table is one transaction. */
export function restoreText(family: Family, wanted: WantedRules, present: Present): string {
  const chains = iptablesChains(family, wanted);
  return tables.map((table) => tableText(table, chains.get(table) ?? new Map(), family, present)).join('');
}

function tableText(table: TableName, chains: Chains, family: Family, present: Present): string {
  const stale = (present.chains.get(table) ?? []).filter((name) => !chains.has(name));
  const jumps = hooksOf(table, family).flatMap(({ builtin, chain }) => {
    const places = present.jumps.get(`${table} ${builtin} ${chain}`) ?? [];
    if (places.length === 1 && places[0] === 0) return [];
    return [...places.map(() => `-D ${builtin} -j ${chain}`), `-I ${builtin} 1 -j ${chain}`];
  });
  const names = [...chains.keys()];
  if (hooksOf(table, family).length === 0 && stale.length === 0) return '';
  return text(table, [
    ...[...names, ...stale].map((name) => `:${name} - [0:0]`),
    ...[...chains].flatMap(([name, rules]) => rules.map((rule) => `-A ${name} ${rule}`)),
    ...jumps,
    ...stale.map((name) => `-X ${name}`),
  ]);
}

/** Takes everything of ours away; '' when there is nothing. */
export function removeText({ chains, jumps }: Present): string {
  return [...chains]
    .map(([table, names]) =>
      text(table, [
        ...[...jumps].flatMap(([key, places]) => {
          const [from, builtin, chain] = key.split(' ');
          return from === table ? places.map(() => `-D ${builtin} -j ${chain}`) : [];
        }),
        ...names.map((name) => `-F ${name}`),
        ...names.map((name) => `-X ${name}`),
      ]),
    )
    .join('');
}

function hooksOf(table: string, family: Family) {
  return hooks.filter((hook) => hook.table === table && (!('family' in hook) || hook.family === family));
}

function text(table: string, lines: readonly string[]): string {
  return `*${table}\n${lines.join('\n')}\nCOMMIT\n`;
}
