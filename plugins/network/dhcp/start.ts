/** cleat-dhcp as the daemon wires it. */

import type { EngineWatch } from '../engine/watch.ts';
import type { AddressGuard } from '../neighbour/address-guard.ts';
import type { NetworkPart, NetworkParts } from '../parts.ts';
import { DhcpIpam, driverName } from './driver.ts';
import { Leases } from './leases.ts';
import type { LeaseRecord } from './records.ts';

export interface Dhcp extends NetworkPart {
  readonly leases: Leases;
  /** Names of containers, which engines before 29 do not tell with a request. */
  follow(engines: readonly EngineWatch[]): void;
  /** For `cleat status`. */
  status(): { readonly leases: readonly object[] };
}

export interface DhcpParts extends Pick<NetworkParts, 'store' | 'socket' | 'context'> {
  readonly guard: AddressGuard;
  /** Another one after each start of the host. */
  readonly bootId: string;
}

export function startDhcp({ store, socket, context, guard, bootId }: DhcpParts): Dhcp {
  const leases = new Leases(store, socket, context.log.child({ driver: driverName }));
  const ipam = new DhcpIpam(leases, socket, guard);
  return {
    leases,
    plugins: [{ name: driverName, ipam }],
    links: () => [],
    started: () => leases.start(bootId),
    follow: (engines) => leases.follow(engines),
    stop: async () => {
      ipam.close();
      leases.stop();
    },
    status: () => ({
      leases: leases.records.leases
        .entries()
        .map(([, lease]) => row(lease, leases.records.pools.get(lease.poolId)?.parent)),
    }),
  };
}

function row(lease: LeaseRecord, parent: string | undefined): object {
  const { address, container, mac, holder, serverId, nameServers, obtainedAt, leaseSeconds, releasedAt, trouble } =
    lease;
  return {
    address,
    container,
    mac: holder ?? mac,
    parent,
    server: serverId,
    nameServers,
    until: leaseSeconds === undefined ? 'for ever' : new Date(obtainedAt + leaseSeconds * 1000).toISOString(),
    state: trouble ?? (releasedAt === undefined ? 'in use' : 'parked'),
  };
}
