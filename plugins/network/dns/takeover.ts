/**
 * Inside a sandbox, queries to 127.0.0.11 port 53 are turned to our sockets there, ahead of the redirection that Docker has made to its
 * own resolver (nat chains at priority -100).
 *
 *     container ── 127.0.0.11:53 ──► [ip cleat-dns, output -300] ──► 127.0.0.11:OURS     a socket of this process
 *                                     │ our mark, or no table
 *                                     └──────────────► [engine's rules, -100] ──► 127.0.0.11:ENGINE
 *
 * Ports are rewritten both ways packet by packet, before connections are tracked: that is quicker than NAT, and what is not tracked passes
 * the engine's rules by. Port 53 itself stays free for a DNS server in the container.
 *
 * The table has an owner (NFT_TABLE_F_OWNER, Linux 5.12): the netlink socket that made it. When this process ends in any way,
 * SIGKILL too, the kernel closes the socket and takes the table away with it, and queries reach the engine's resolver again. A
 * redirection to a socket that nobody serves therefore cannot be left behind.
 */
import type { Netns } from '../../linux/netns.ts';
import { Nftables } from '../../linux/nftables/context.ts';
import { engineMark } from './engine-resolver.ts';

const table = 'cleat-dns';

export interface TakeoverPorts {
  readonly udp: number;
  readonly tcp: number;
}

/** Holds as long as the returned object is open. Throws NftError where the kernel has no owned tables. */
export function takeOverResolver(netns: Netns, ports: TakeoverPorts): { close(): void } {
  const nft = new Nftables(netns);
  try {
    nft.run(`table ip ${table} {
  flags owner
  chain output {
    type filter hook output priority -300; policy accept;
    meta mark ${engineMark} accept
    ${rewrite('udp', ports.udp)}
    ${rewrite('tcp', ports.tcp)}
  }
}`);
    return nft.closeButKeepTables();
  } catch (error) {
    nft.close();
    throw error;
  }
}

/** Out to our port, and back as if from port 53. */
function rewrite(protocol: 'udp' | 'tcp', ours: number): string {
  return `ip daddr 127.0.0.11 ${protocol} dport 53 notrack ${protocol} dport set ${ours}
    ip saddr 127.0.0.11 ${protocol} sport ${ours} notrack ${protocol} sport set 53`;
}
