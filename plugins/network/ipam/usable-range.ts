/** Which addresses of a pool may be given to anybody, and from which of them the dynamic ones come. Pure. */
import { type Cidr, firstIp, lastIp } from '../address/cidr.ts';
import { addressBits } from '../address/ip.ts';

/** Inclusive; empty when `first` is above `last`. */
export interface AddressRange {
  readonly first: bigint;
  readonly last: bigint;
}

/**
 * Without the network and broadcast addresses of IPv4 (RFC 1122 §3.2.1.3) and the subnet-router anycast address of IPv6
 * (RFC 4291 §2.6.1). Blocks of one or two addresses are used whole (RFC 3021, RFC 6164).
 */
export function usableRange(pool: Cidr): AddressRange {
  const [first, last] = [firstIp(pool).value, lastIp(pool).value];
  if (addressBits[pool.family] - pool.prefix <= 1) return { first, last };
  return { first: first + 1n, last: pool.family === 4 ? last - 1n : last };
}

/** The usable addresses of the sub-pool, or of the whole pool when there is none. */
export function dynamicRange(pool: Cidr, subPool: Cidr | undefined): AddressRange {
  const usable = usableRange(pool);
  if (subPool === undefined) return usable;
  const range = { first: firstIp(subPool).value, last: lastIp(subPool).value };
  if (range.first < usable.first) range.first = usable.first;
  if (range.last > usable.last) range.last = usable.last;
  return range;
}

export function rangeSize({ first, last }: AddressRange): bigint {
  return last < first ? 0n : last - first + 1n;
}

export function inRange({ first, last }: AddressRange, value: bigint): boolean {
  return value >= first && value <= last;
}
