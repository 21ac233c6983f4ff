/** Decides which block a network gets: checks the one that the user named, or picks a free one. Pure. */
import { PluginError } from '../../sdk/errors.ts';
import type { RequestPoolRequest } from '../../sdk/ipam-plugin.ts';
import { type Cidr, cidrHasCidr, cidrsOverlap, findCidr, firstIp, formatCidr } from '../address/cidr.ts';
import { type Family, ipRange } from '../address/ip.ts';
import { findFreeBlock } from './default-pools.ts';
import type { PoolEntry } from './ledger.ts';
import type { IpamConfig, PoolOptions } from './options.ts';
import { networkNameOf } from './records.ts';

export interface NamedPool {
  readonly pool: Cidr;
  readonly subPool: Cidr | undefined;
}

/** What can be no network, by the address range that its first address is of. */
const unusableRanges: ReadonlySet<string> = new Set(['multicast', 'loopback', 'unspecified', 'broadcast']);

/** The `--subnet` and `--ip-range` of a request; undefined when none is named. Throws IPAM_POOL_INVALID. */
export function parseNamedPool(request: RequestPoolRequest): NamedPool | undefined {
  const family: Family = request.v6 ? 6 : 4;
  if (request.pool === undefined) {
    if (request.subPool === undefined) return undefined;
    throw invalid(`IP range ${request.subPool} is given without a subnet`, 'give --subnet too');
  }
  const pool = parseBlock(request.pool, 'subnet', family);
  if (unusableRanges.has(ipRange(firstIp(pool)))) {
    throw invalid(`subnet ${formatCidr(pool)} is no range for hosts`, 'give a unicast subnet such as 10.20.0.0/24');
  }
  if (request.subPool === undefined) return { pool, subPool: undefined };
  const subPool = parseBlock(request.subPool, 'IP range', family);
  if (!cidrHasCidr(pool, subPool)) {
    throw invalid(`IP range ${formatCidr(subPool)} is not inside the subnet ${formatCidr(pool)}`);
  }
  return { pool, subPool };
}

/** Throws IPAM_POOL_OVERLAP, which names the network that has the other pool. */
export function refuseOverlap(pool: Cidr, others: readonly PoolEntry[]): void {
  const other = others.find((entry) => cidrsOverlap(entry.cidr, pool));
  if (other === undefined) return;
  const name = networkNameOf(other.record);
  const holder =
    name === undefined ? `requested ${new Date(other.record.createdAt).toISOString()}` : `of network ${name}`;
  throw new PluginError(
    'IPAM_POOL_OVERLAP',
    `subnet ${formatCidr(pool)} overlaps ${formatCidr(other.cidr)} ${holder}`,
    {
      hint: 'choose another --subnet, or none to get a free one',
    },
  );
}

/** Throws IPAM_POOLS_EXHAUSTED; engines ask again and again until they get this. */
export function chooseFreePool(
  v6: boolean,
  config: Pick<IpamConfig, 'defaultPools'>,
  options: PoolOptions,
  taken: readonly Cidr[],
): Cidr {
  const family: Family = v6 ? 6 : 4;
  const pools = config.defaultPools.filter(({ base }) => base.family === family);
  const size = v6 ? options.size6 : options.size;
  const found = findFreeBlock(pools, taken, size);
  if (found !== undefined) return found;
  const bases = pools.map((pool) => `${formatCidr(pool.base)} in blocks of /${size ?? pool.size}`).join(', ');
  throw new PluginError(
    'IPAM_POOLS_EXHAUSTED',
    `no default IPv${family} pool is free: every block of ${bases} is in use or overlaps a route or address of the host`,
    {
      hint: 'give --subnet, remove unused networks, or add ranges to default-address-pools in the configuration',
    },
  );
}

function parseBlock(text: string, what: string, family: Family): Cidr {
  const block = findCidr(text);
  if (block === undefined)
    throw invalid(`${what} "${text}" is no address range`, 'give one like 10.20.0.0/24 or fd00:20::/64');
  if (block.family !== family) throw invalid(`${what} ${text} is IPv${block.family}, and IPv${family} was asked for`);
  return block;
}

function invalid(message: string, hint?: string): PluginError {
  return new PluginError('IPAM_POOL_INVALID', message, hint === undefined ? {} : { hint });
}
