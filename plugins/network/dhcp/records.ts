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
  readonly mac: string;
  /** Hexadecimal; for IPv6 the DUID. */
  readonly clientId: string;
  readonly container?: string;
  /** Milliseconds since 1970. */
  readonly obtainedAt: number;
  /** Since when nobody uses it: it is given back when `linger` has passed. */
  readonly releasedAt?: number;
  /** What the last renewal failed with. */
  readonly trouble?: string;
}

export interface DhcpRecords {
  readonly pools: Table<DhcpPoolRecord>;
  /** By pool and address. */
  readonly leases: Table<LeaseRecord>;
}

export function openDhcpRecords(store: Store): DhcpRecords {
  return {
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
