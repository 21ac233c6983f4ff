/** What `cleat status` and programs see of the IPAM: flat objects, one list for each kind of thing. */
import { addressText, type Ledger, type PoolEntry } from './ledger.ts';
import { describeOwner } from './pool.ts';
import type { Reconciler } from './reconcile.ts';
import { networkNameOf } from './records.ts';
import type { PoolWarning, Warnings } from './warnings.ts';

export interface PoolStatus {
  readonly pool: string;
  /** Name where an engine told it, else ID; absent until somebody claims the pool. */
  readonly network?: string;
  readonly range?: string;
  readonly gateway?: string;
  readonly used: number;
  /** Decimal text: a /64 has more addresses than a JSON number holds. */
  readonly free: string;
  readonly size: string;
  /** Of the dynamic range, with one decimal. */
  readonly percent: number;
  /** Free, but kept back after their release. */
  readonly kept: number;
  readonly automatic: boolean;
  readonly space: string;
  readonly poolId: string;
}

export interface AddressStatus {
  readonly address: string;
  readonly pool: string;
  readonly kind: string;
  /** The container, as far as an engine told it. */
  readonly owner?: string;
  /** ISO 8601. */
  readonly since: string;
  /** Nobody accounts for it any more: it is about to be freed. */
  readonly missing: boolean;
}

export interface IpamStatus {
  readonly pools: readonly PoolStatus[];
  readonly addresses: readonly AddressStatus[];
  readonly warnings: readonly {
    readonly pool: string;
    readonly code: string;
    readonly message: string;
    readonly since: string;
  }[];
}

export function ipamStatus(ledger: Ledger, reconciler: Reconciler, warnings: Warnings): IpamStatus {
  const pools = ledger.pools();
  return {
    pools: pools.map(poolStatus),
    addresses: pools.flatMap((entry) => addressesOf(entry, reconciler)),
    warnings: warnings.list().map((warning) => warningStatus(ledger, warning)),
  };
}

function poolStatus(entry: PoolEntry): PoolStatus {
  const { pool, record, cidr, poolId } = entry;
  const network = networkNameOf(record);
  const gateway = [...pool.entries()].find(
    ([, address]) => address.state === 'allocated' && address.kind === 'gateway',
  );
  // Ten-thousandths first, so that the division of large numbers keeps its decimals.
  const share = pool.size === 0n ? 100 : Number((BigInt(pool.used) * 10_000n) / pool.size) / 100;
  return {
    pool: record.pool,
    ...(network === undefined ? {} : { network }),
    ...(record.subPool === undefined ? {} : { range: record.subPool }),
    ...(gateway === undefined ? {} : { gateway: addressText(cidr.family, gateway[0]) }),
    used: pool.used,
    free: String(pool.size - BigInt(pool.used)),
    size: String(pool.size),
    percent: Math.round(share * 10) / 10,
    kept: pool.keptCount,
    automatic: record.automatic,
    space: record.space,
    poolId,
  };
}

function addressesOf(entry: PoolEntry, reconciler: Reconciler): AddressStatus[] {
  const list: (AddressStatus & { readonly value: bigint })[] = [];
  for (const [value, record] of entry.pool.entries()) {
    if (record.state !== 'allocated') continue;
    const container = reconciler.containerOf(entry, value);
    const owner = container ?? (record.owner && describeOwner(record.owner));
    list.push({
      value,
      address: addressText(entry.cidr.family, value),
      pool: entry.record.pool,
      kind: record.kind,
      ...(owner === undefined ? {} : { owner }),
      since: new Date(record.at).toISOString(),
      missing: entry.pool.missingSince.has(value),
    });
  }
  list.sort((one, other) => (one.value < other.value ? -1 : 1));
  return list.map(({ value: _, ...status }) => status);
}

function warningStatus(ledger: Ledger, { poolId, code, message, since }: PoolWarning): IpamStatus['warnings'][number] {
  return { pool: ledger.find(poolId)?.record.pool ?? poolId, code, message, since: new Date(since).toISOString() };
}
