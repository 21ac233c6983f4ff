/** Chooses a pool for a network that names none: the first block of the configured ranges that overlaps nothing. Pure. */
import { type Cidr, compareCidr, firstIp, lastIp } from '../address/cidr.ts';
import { addressBits } from '../address/ip.ts';

/** Docker's `default-address-pools`: blocks of prefix length `size` are cut out of `base`. */
export interface DefaultPool {
  readonly base: Cidr;
  readonly size: number;
}

/** `size` overrides the configured one, within what the base can hold. Undefined when none is left. */
export function findFreeBlock(pools: readonly DefaultPool[], taken: readonly Cidr[], size?: number): Cidr | undefined {
  const sorted = [...taken].sort(compareCidr);
  for (const pool of pools) {
    const prefix = size ?? pool.size;
    if (prefix < pool.base.prefix) continue;
    const found = findFreeIn(pool.base, prefix, sorted);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** One sweep over the taken blocks, lowest first: the candidate jumps behind each one that it meets. */
function findFreeIn(base: Cidr, prefix: number, sorted: readonly Cidr[]): Cidr | undefined {
  const step = 1n << BigInt(addressBits[base.family] - prefix);
  const end = lastIp(base).value;
  let start = base.network;
  for (const block of sorted) {
    if (block.family !== base.family) continue;
    const [blockFirst, blockLast] = [firstIp(block).value, lastIp(block).value];
    if (blockLast < start) continue;
    if (blockFirst > start + step - 1n) break;
    start = (blockLast / step + 1n) * step;
    if (start > end) return undefined;
  }
  return { family: base.family, network: start, prefix };
}
