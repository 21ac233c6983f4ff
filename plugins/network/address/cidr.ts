/**
 * Prefixes ("10.20.0.0/16") and addresses that carry a prefix length ("10.20.0.7/16", as engines exchange them).
 * Two types, because mixing them up is how a host address ends up as a route. Pure.
 */
import { PluginError } from '../../sdk/errors.ts';
import { addressBits, type Family, findIp, formatIp, type Ip } from './ip.ts';

/** A block of addresses. Invariant: the host bits of `network` are zero. */
export interface Cidr {
  readonly family: Family;
  readonly network: bigint;
  readonly prefix: number;
}

/** An address of an interface together with the length of its subnet's prefix. */
export interface InterfaceAddress {
  readonly ip: Ip;
  readonly prefix: number;
}

/** Reads a prefix; host bits are cleared, as engines do with `--subnet 10.0.0.5/24`. Throws NET_ADDRESS_INVALID. */
export function parseCidr(text: string): Cidr {
  return subnetOf(parseInterfaceAddress(text));
}

/** Reads `ADDRESS/LENGTH` and keeps the host bits. Throws NET_ADDRESS_INVALID. */
export function parseInterfaceAddress(text: string): InterfaceAddress {
  const found = findInterfaceAddress(text);
  if (found === undefined) {
    throw new PluginError('NET_ADDRESS_INVALID', `"${text}" is no address with prefix length`, {
      hint: 'give one like 192.0.2.0/24 or 2001:db8::/64',
    });
  }
  return found;
}

/** The prefix, or undefined when the text is none. */
export function findCidr(text: string): Cidr | undefined {
  const found = findInterfaceAddress(text);
  return found && subnetOf(found);
}

function findInterfaceAddress(text: string): InterfaceAddress | undefined {
  const slash = text.indexOf('/');
  const ip = slash < 0 ? undefined : findIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (ip === undefined || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const prefix = Number(length);
  return prefix <= addressBits[ip.family] ? { ip, prefix } : undefined;
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIp(firstIp(cidr))}/${cidr.prefix}`;
}

export function formatInterfaceAddress(address: InterfaceAddress): string {
  return `${formatIp(address.ip)}/${address.prefix}`;
}

/** The subnet that an interface address lies in. */
export function subnetOf({ ip, prefix }: InterfaceAddress): Cidr {
  return { family: ip.family, network: ip.value & ~hostMask(ip.family, prefix), prefix };
}

/** The subnet of the given length around an address. Throws NET_ADDRESS_INVALID for a length that the family has not. */
export function cidrAround(ip: Ip, prefix: number): Cidr {
  return subnetOf({ ip, prefix: checkPrefix(ip.family, prefix) });
}

/** The lowest address: the network address of IPv4, the subnet-router anycast address of IPv6 (RFC 4291 §2.6.1). */
export function firstIp(cidr: Cidr): Ip {
  return { family: cidr.family, value: cidr.network };
}

/** The highest address: the broadcast address of IPv4. */
export function lastIp(cidr: Cidr): Ip {
  return { family: cidr.family, value: cidr.network | hostMask(cidr.family, cidr.prefix) };
}

/** How many addresses the block has, special ones included. */
export function cidrSize(cidr: Cidr): bigint {
  return hostMask(cidr.family, cidr.prefix) + 1n;
}

export function cidrHasIp(cidr: Cidr, ip: Ip): boolean {
  return cidr.family === ip.family && (ip.value & ~hostMask(cidr.family, cidr.prefix)) === cidr.network;
}

/** Whether every address of `inner` is in `outer`. A block contains itself. */
export function cidrHasCidr(outer: Cidr, inner: Cidr): boolean {
  return outer.prefix <= inner.prefix && cidrHasIp(outer, firstIp(inner));
}

/** Blocks either nest or are disjoint. */
export function cidrsOverlap(one: Cidr, other: Cidr): boolean {
  return cidrHasCidr(one, other) || cidrHasCidr(other, one);
}

export function sameCidr(one: Cidr, other: Cidr): boolean {
  return one.family === other.family && one.prefix === other.prefix && one.network === other.network;
}

/** Order for sorting: IPv4 before IPv6, by lowest address, larger blocks before those inside them. */
export function compareCidr(one: Cidr, other: Cidr): number {
  if (one.family !== other.family) return one.family - other.family;
  if (one.network !== other.network) return one.network < other.network ? -1 : 1;
  return one.prefix - other.prefix;
}

/** How many blocks of the given, longer prefix the block is made of. */
export function countSubnets(cidr: Cidr, prefix: number): bigint {
  if (checkPrefix(cidr.family, prefix) < cidr.prefix) return 0n;
  return 1n << BigInt(prefix - cidr.prefix);
}

/** The block number `index`, counted from 0, of the given, longer prefix. Throws NET_ADDRESS_INVALID beyond the last. */
export function subnetAt(cidr: Cidr, prefix: number, index: bigint): Cidr {
  if (index < 0n || index >= countSubnets(cidr, prefix)) {
    throw new PluginError('NET_ADDRESS_INVALID', `${formatCidr(cidr)} has no block ${index} of length /${prefix}`);
  }
  return { family: cidr.family, network: cidr.network + index * (hostMask(cidr.family, prefix) + 1n), prefix };
}

/** IPv4 netmask as an address, 255.255.255.0 for 24; also for IPv6. Throws NET_ADDRESS_INVALID. */
export function netmask(family: Family, prefix: number): Ip {
  const all = (1n << BigInt(addressBits[family])) - 1n;
  return { family, value: all & ~hostMask(family, checkPrefix(family, prefix)) };
}

function hostMask(family: Family, prefix: number): bigint {
  return (1n << BigInt(addressBits[family] - prefix)) - 1n;
}

function checkPrefix(family: Family, prefix: number): number {
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > addressBits[family]) {
    throw new PluginError('NET_ADDRESS_INVALID', `IPv${family} has no prefix length ${prefix}`);
  }
  return prefix;
}
