/**
 * Who may take part in what goes without VXLAN: the chain of the section `direct` in the table `inet cleat`. Packets between
 * addresses of the network come from its bridge, or from a peer's network card on the segment; from anywhere else they are
 * dropped, before a route could lead them to a container, or on to another host, which would take them for ours. Pure.
 *
 * They are not tracked: nothing is translated between members, and a packet may go directly whose answer comes by VXLAN.
 */

export interface DirectTraffic {
  readonly bridge: string;
  /** Name of the link to the segment. */
  readonly link: string;
  /** Subnets of the network that take part. */
  readonly pools: readonly string[];
  /** MAC addresses of the peers. */
  readonly macs: readonly string[];
}

/** Empty without networks. */
export function directRules(networks: readonly DirectTraffic[]): string {
  const rules = networks.flatMap((network) => (['ip', 'ip6'] as const).flatMap((ip) => familyRules(ip, network)));
  if (rules.length === 0) return '';
  return [
    '  chain direct_in {',
    '    type filter hook prerouting priority raw; policy accept;',
    ...rules.map((rule) => `    ${rule}`),
    '  }',
  ].join('\n');
}

function familyRules(ip: 'ip' | 'ip6', { bridge, link, pools, macs }: DirectTraffic): string[] {
  const own = pools.filter((pool) => pool.includes(':') === (ip === 'ip6'));
  if (own.length === 0) return [];
  const ours = `{ ${own.join(', ')} }`;
  const within = `${ip} saddr ${ours} ${ip} daddr ${ours}`;
  return [
    ...(macs.length > 0 ? [`iifname "${link}" ether saddr { ${macs.join(', ')} } ${within} notrack accept`] : []),
    `iifname "${bridge}" ${within} fib daddr oifname "${link}" notrack accept`,
    `iifname != { "lo", "${bridge}" } ${within} drop`,
  ];
}
