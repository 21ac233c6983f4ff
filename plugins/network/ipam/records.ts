/**
 * What is on disk, in the daemon's store:
 *
 *     ipam-pool      POOL_ID            PoolRecord
 *     ipam-address   POOL_ID ADDRESS    AddressRecord: allocated, or kept back after its release
 *     ipam-meta      `host`             HostRecord
 */
import type { Store, Table } from '../../store/store.ts';
import type { AddressRecord } from './pool.ts';

export type AddressSpace = 'cleat-local' | 'cleat-global';

export interface PoolRecord {
  readonly space: AddressSpace;
  /** CIDR. */
  readonly pool: string;
  /** CIDR, `--ip-range`. */
  readonly subPool?: string;
  /** The network over hosts of whose blocks the dynamic addresses come; absent: of the whole pool or sub-pool. */
  readonly blocksOf?: string;
  /** `--ipam-opt`, as given. */
  readonly options: Readonly<Record<string, string>>;
  /** Chosen here, not by the user. */
  readonly automatic: boolean;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** Routes and addresses of the host that overlapped a pool of the user's choice from the start: no news, no warning. */
  readonly knownOverlaps: readonly string[];
  /** Who said that the pool is one of his, by source (`engine:/run/docker.sock`, `driver:cleat-bridge`). */
  readonly claims: Readonly<Record<string, PoolClaim>>;
}

export interface PoolClaim {
  readonly networkId: string;
  /** Known to engines only. */
  readonly networkName?: string;
}

export interface HostRecord {
  /** /proc/sys/kernel/random/boot_id when the daemon last started. */
  readonly bootId: string;
  /** The host's own range of unique local addresses, `fdxx:xxxx:xxxx::/48` (RFC 4193 §3.2), drawn once. */
  readonly uniqueLocal: string;
}

export interface IpamRecords {
  readonly pools: Table<PoolRecord>;
  readonly addresses: Table<AddressRecord>;
  readonly host: Table<HostRecord>;
}

export function openRecords(store: Store): IpamRecords {
  return {
    pools: store.table<PoolRecord>('ipam-pool', { version: 1 }),
    addresses: store.table<AddressRecord>('ipam-address', { version: 1 }),
    host: store.table<HostRecord>('ipam-meta', { version: 1 }),
  };
}

/** The same for the same pool in the same space, always: engines store it, and ask again with what they stored. */
export function poolIdOf(space: AddressSpace, pool: string, subPool: string | undefined): string {
  return subPool === undefined ? `${space}/${pool}` : `${space}/${pool}/${subPool}`;
}

/** A network's name for messages, as far as anybody told it. */
export function networkNameOf(record: PoolRecord): string | undefined {
  const claims = Object.values(record.claims);
  return claims.find((claim) => claim.networkName !== undefined)?.networkName ?? claims[0]?.networkId;
}
