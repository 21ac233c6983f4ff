/** Takes the pools off the records that nothing uses, whatever engines may still think of them. */
import type { PurgeItem } from '../parts.ts';
import type { Ledger, PoolEntry } from './ledger.ts';

export function purgePools(ledger: Ledger, dryRun: boolean): PurgeItem[] {
  return ledger.pools().map((entry): PurgeItem => {
    const item = { kind: 'pool', name: entry.record.pool };
    const used = countInUse(entry);
    if (used > 0) return { ...item, kept: `${used} of its addresses ${used === 1 ? 'is' : 'are'} in use` };
    if (!dryRun) ledger.dropPool(entry.poolId);
    return item;
  });
}

/** Addresses of containers, without those that nobody accounts for. */
function countInUse({ pool }: PoolEntry): number {
  let count = 0;
  for (const [value, record] of pool.entries()) {
    if (record.state === 'allocated' && record.kind === 'endpoint' && !pool.missingSince.has(value)) count++;
  }
  return count;
}
