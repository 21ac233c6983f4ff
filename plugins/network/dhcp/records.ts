/** What cleat-dhcp keeps on disk. */
import type { Store, Table } from '../../store/store.ts';

export interface DhcpPoolRecord {
  readonly poolId: string;
  /** CIDR. */
  readonly pool: string;
  readonly parent: string;
  /** CIDR. */
  readonly gateway?: string;
  readonly lingerMs: number;
  readonly hostNames: boolean;
}

export interface LeaseRecord {
  readonly poolId: string;
  /** Bare. */
  readonly address: string;
  readonly mac: string;
  /** Hexadecimal. */
  readonly clientId: string;
  readonly container?: string;
  readonly serverId: string;
  /** Milliseconds since 1970. */
  readonly obtainedAt: number;
  /** Absent: for ever. */
  readonly leaseSeconds?: number;
  readonly renewSeconds?: number;
  readonly dns: readonly string[];
  readonly mtu?: number;
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
    leases: store.table<LeaseRecord>('dhcp.leases', { version: 1 }),
  };
}

export function leaseKey({ poolId, address }: Pick<LeaseRecord, 'poolId' | 'address'>): string {
  return `${poolId} ${address}`;
}
