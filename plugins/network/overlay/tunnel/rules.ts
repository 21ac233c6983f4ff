/**
 * What keeps encrypted networks off the wire in clear, whatever routes say and whether or not the daemon runs: the chains of the
 * section `tunnel` in the table `inet cleat`. Pure.
 */
import { tunnelPrefix } from './address.ts';

export interface TunnelTraffic {
  readonly vni: number;
  /** UDP port of the VXLAN. */
  readonly port: number;
}

/** Empty without networks. `links`: names of the tunnel's devices. */
export function tunnelRules(networks: readonly TunnelTraffic[], links: readonly string[]): string {
  if (networks.length === 0) return '';
  const tunnel = `{ ${links.map((name) => `"${name}"`).join(', ')} }`;
  const ports = `{ ${[...new Set(networks.map(({ port }) => port))].join(', ')} }`;
  // The VNI stands 12 bytes behind the start of the UDP header (RFC 7348 §5).
  const vnis = `{ ${[...new Set(networks.map(({ vni }) => vni))].join(', ')} }`;
  const ours = `meta l4proto udp udp dport ${ports} @th,96,24 ${vnis}`;
  return [
    '  chain tunnel_out {',
    '    type filter hook output priority raw; policy accept;',
    `    oifname != ${tunnel} ip6 daddr ${tunnelPrefix} drop`,
    `    oifname != ${tunnel} ${ours} drop`,
    '  }',
    // Once more behind everybody's routing and address translation.
    '  chain tunnel_leave {',
    '    type filter hook postrouting priority srcnat + 10; policy accept;',
    `    ip6 daddr ${tunnelPrefix} oifname != ${tunnel} drop`,
    '  }',
    '  chain tunnel_in {',
    '    type filter hook prerouting priority raw; policy accept;',
    `    iifname != ${tunnel} ip6 daddr ${tunnelPrefix} drop`,
    `    iifname != ${tunnel} ${ours} fib daddr type local drop`,
    `    iifname ${tunnel} ip6 saddr ${tunnelPrefix} ${ours} accept`,
    `    iifname ${tunnel} drop`,
    '  }',
  ].join('\n');
}
