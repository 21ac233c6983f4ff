/** What cleat-dhcp keeps on disk. */
import type { Store, Table } from '../../store/store.ts';
import type { DhcpGrant } from './protocol.ts';

export interface DhcpPoolRecord {
  readonly poolId: string;
  /** CIDR. */
  readonly pool: string;
  readonly parent: string;
  /** CIDR. */
  readonly gateway?: string;
  /** Bare: what the engine was told when it insisted on a gateway and there was none. */
  readonly standIn?: string;
  readonly lingerMs: number;
  readonly hostNames: boolean;
}

export interface LeaseRecord extends Omit<DhcpGrant, 'routers' | 'subnet'> {
  readonly poolId: string;
  /** What the servers know the client by. */
  readonly mac: string;
  /** Of the container that has it now, where the engine gave it another one than the lease was got with. */
  readonly holder?: string;
  /** Hexadecimal; for IPv6 the DUID. */
  readonly clientId: string;
  readonly container?: string;
  /** The MAC address is the user's, so the container comes back with it. */
  readonly givenMac?: boolean;
  /** Milliseconds since 1970. */
  readonly obtainedAt: number;
  /** Since when nobody uses it: it is given back when `linger` has passed. */
  readonly releasedAt?: number;
  /** What the last renewal failed with. */
  readonly trouble?: string;
}

export interface DhcpRecords {
  /** One, `boot`: the start of the host that all leases without `releasedAt` are of. */
  readonly host: Table<{ readonly bootId: string }>;
  readonly pools: Table<DhcpPoolRecord>;
  /** By pool and address. */
  readonly leases: Table<LeaseRecord>;
}

export function openDhcpRecords(store: Store): DhcpRecords {
  return {
    host: store.table<{ readonly bootId: string }>('dhcp.host', { version: 1 }),
    pools: store.table<DhcpPoolRecord>('dhcp.pools', { version: 1 }),
    leases: store.table<LeaseRecord>('dhcp.leases', {
      version: 2,
      // Version 1 called them dns, and knew no T2.
      migrate: {
        2: (old) => {
          const { dns, ...record } = old as { dns?: readonly string[] };
          return { ...record, nameServers: dns ?? [] };
        },
      },
    }),
  };
}

export function leaseKey({ poolId, address }: Pick<LeaseRecord, 'poolId' | 'address'>): string {
  return `${poolId} ${address}`;
}
