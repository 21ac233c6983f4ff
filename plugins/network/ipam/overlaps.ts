/**
 * Which routes and addresses of the host get in the way of pools. A network's own interface is on the host too, with routes
 * and addresses inside the pool: an interface that has an address which the pool gave out is the network's own. Pure.
 */
import { compareCidr, formatCidr, lastIp } from '../address/cidr.ts';
import type { HostView } from './host-blocks.ts';
import type { PoolEntry } from './ledger.ts';

/** POOL_ID → texts of the blocks that overlap the pool and are not its own. Pools of one address space are disjoint. */
export function findOverlaps(pools: readonly PoolEntry[], host: HostView): Map<string, string[]> {
  const found = new Map<string, Set<string>>();
  const sorted = [...pools].sort((one, other) => compareCidr(one.cidr, other.cidr));
  const own = ownLinks(sorted, host);
  for (const block of host.blocks) {
    const last = lastIp(block.cidr).value;
    for (let index = firstReaching(sorted, block.cidr.family, block.cidr.network); index < sorted.length; index++) {
      const entry = sorted[index]!;
      if (entry.cidr.family !== block.cidr.family || entry.cidr.network > last) break;
      if (block.link !== undefined && own.get(entry.poolId)?.has(block.link)) continue;
      const texts = found.get(entry.poolId) ?? new Set();
      found.set(entry.poolId, texts.add(block.text));
    }
  }
  return new Map(Array.from(found, ([poolId, texts]) => [poolId, [...texts].sort()]));
}

export function overlapMessage(entry: PoolEntry, text: string): string {
  return `pool ${formatCidr(entry.cidr)} overlaps the host's ${text}: traffic for one of them goes to the other`;
}

function ownLinks(sorted: readonly PoolEntry[], host: HostView): Map<string, Set<number>> {
  const own = new Map<string, Set<number>>();
  for (const { ip, link } of host.addresses) {
    const entry = sorted[firstReaching(sorted, ip.family, ip.value)];
    if (entry === undefined || entry.cidr.family !== ip.family || entry.pool.get(ip.value)?.state !== 'allocated')
      continue;
    own.set(entry.poolId, (own.get(entry.poolId) ?? new Set()).add(link));
  }
  return own;
}

/** Index of the first pool whose last address is not below `value`. */
function firstReaching(sorted: readonly PoolEntry[], family: number, value: bigint): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { cidr } = sorted[middle]!;
    if (cidr.family < family || (cidr.family === family && lastIp(cidr).value < value)) low = middle + 1;
    else high = middle;
  }
  return low;
}
