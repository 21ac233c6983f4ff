/** `--default-address-pool`: the subnet of a network that names none is cut from these, the first that is free. */
import ipaddr from 'ipaddr.js';
import type { AddressPool } from '../config/option.ts';

/** CIDRs in the order of the pools, without those that overlap one of `taken`. */
export function* freeSubnets(pools: readonly AddressPool[], v6: boolean, taken: readonly string[]): Generator<string> {
  const blocks = taken.filter((cidr) => cidr.includes(':') === v6).map(parseBlock);
  for (const { base, size } of pools.filter((pool) => pool.base.includes(':') === v6)) {
    const { first, last } = parseBlock(base);
    const step = 1n << BigInt((v6 ? 128 : 32) - size);
    for (let start = first; start <= last; start += step) {
      const end = start + step - 1n;
      const overlaps = blocks.find((block) => block.first <= end && start <= block.last);
      if (overlaps === undefined) yield `${formatAddress(start, v6)}/${size}`;
      // Past a large block in one step.
      else if (overlaps.last > end) start = overlaps.last - (overlaps.last % step);
    }
  }
}

interface Block {
  readonly first: bigint;
  readonly last: bigint;
}

function parseBlock(cidr: string): Block {
  const [address = '', length = ''] = cidr.split('/');
  const bytes = ipaddr.parse(address).toByteArray();
  const value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const size = 1n << BigInt(bytes.length * 8 - Number(length));
  const first = value - (value % size);
  return { first, last: first + size - 1n };
}

function formatAddress(value: bigint, v6: boolean): string {
  const length = v6 ? 16 : 4;
  const bytes = Array.from({ length }, (_, index) => Number((value >> BigInt(8 * (length - 1 - index))) & 0xffn));
  return ipaddr.fromByteArray(bytes).toString();
}
