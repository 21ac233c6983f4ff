/** cleat-dhcp as the daemon wires it. */
import type { NetworkPart, NetworkParts } from '../parts.ts';
import { DhcpIpam, driverName } from './driver.ts';
import { Leases } from './leases.ts';
import type { LeaseRecord } from './records.ts';

export interface Dhcp extends NetworkPart {
  /** What the server said of an address that it leased to us. */
  findLease(address: string): LeaseRecord | undefined;
  /** For `cleat status`. */
  status(): { readonly leases: readonly object[] };
}

export function startDhcp({ store, socket, context }: Pick<NetworkParts, 'store' | 'socket' | 'context'>): Dhcp {
  const leases = new Leases(store, socket, context.log.child({ driver: driverName }));
  return {
    plugins: [{ name: driverName, ipam: new DhcpIpam(leases, socket) }],
    links: () => [],
    started: () => leases.start(),
    stop: async () => leases.stop(),
    findLease: (address) => leases.find(address),
    status: () => ({
      leases: leases.records.leases
        .entries()
        .map(([, lease]) => row(lease, leases.records.pools.get(lease.poolId)?.parent)),
    }),
  };
}

function row(lease: LeaseRecord, parent: string | undefined): object {
  const { address, container, mac, serverId, obtainedAt, leaseSeconds, releasedAt, trouble } = lease;
  return {
    address,
    container,
    mac,
    parent,
    server: serverId,
    until: leaseSeconds === undefined ? 'for ever' : new Date(obtainedAt + leaseSeconds * 1000).toISOString(),
    state: trouble ?? (releasedAt === undefined ? 'in use' : 'parked'),
  };
}
