/**
 * IP addresses as numbers: one shape for IPv4 and IPv6, so that pools, routes and records count and compare in one way.
 * ipaddr.js reads and writes the text; arithmetic is on bigint. Pure: nothing here asks the system anything.
 */
import ipaddr from 'ipaddr.js';
import { PluginError } from '../../sdk/errors.ts';

export type Family = 4 | 6;

/** `value` is the address as an unsigned number, most significant byte first: below 2^32 or 2^128. */
export interface Ip {
  readonly family: Family;
  readonly value: bigint;
}

/** Bits of an address. */
export const addressBits = { 4: 32, 6: 128 } as const satisfies Record<Family, number>;

/** Address ranges by purpose, as the IANA special-purpose registries name them (`private`, `loopback`, `linkLocal` …). */
export type IpRange = ReturnType<ipaddr.IPv4['range']> | ReturnType<ipaddr.IPv6['range']>;

/**
 * Reads an address without prefix length or zone. IPv4 must be four decimal parts without leading zeros, because
 * `010.0.0.1` is 8.0.0.1 to some programs and 10.0.0.1 to others. An IPv4-mapped IPv6 address stays IPv6.
 * Throws NET_ADDRESS_INVALID.
 */
export function parseIp(text: string): Ip {
  const ip = findIp(text);
  if (ip === undefined) {
    throw new PluginError('NET_ADDRESS_INVALID', `"${text}" is no IP address`, {
      hint: 'give one like 192.0.2.7 or 2001:db8::7, without prefix length',
    });
  }
  return ip;
}

/** The address, or undefined when the text is none. */
export function findIp(text: string): Ip | undefined {
  if (text.includes(':')) {
    if (text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined;
    return { family: 6, value: joinParts(ipaddr.IPv6.parse(text).parts, 16n) };
  }
  if (!ipaddr.IPv4.isValidFourPartDecimal(text)) return undefined;
  return { family: 4, value: joinParts(ipaddr.IPv4.parse(text).octets, 8n) };
}

/** Dotted decimal, or RFC 5952 text. */
export function formatIp(ip: Ip): string {
  if (ip.family === 4) return ipToBytes(ip).join('.');
  return ipv6(ip).toRFC5952String();
}

/** Network byte order, as in netlink attributes and DNS records: 4 or 16 bytes. */
export function ipToBytes(ip: Ip): Uint8Array {
  const bytes = new Uint8Array(addressBits[ip.family] / 8);
  let rest = ip.value;
  for (let index = bytes.length - 1; index >= 0; index--) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** From 4 or 16 bytes in network byte order. Throws NET_ADDRESS_INVALID for any other length. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw new PluginError('NET_ADDRESS_INVALID', `an IP address has 4 or 16 bytes, not ${bytes.length}`);
  }
  return { family: bytes.length === 4 ? 4 : 6, value: joinParts(bytes, 8n) };
}

export function sameIp(one: Ip, other: Ip): boolean {
  return one.family === other.family && one.value === other.value;
}

/** Order for sorting: IPv4 before IPv6, then by number. */
export function compareIp(one: Ip, other: Ip): number {
  if (one.family !== other.family) return one.family - other.family;
  return one.value < other.value ? -1 : one.value > other.value ? 1 : 0;
}

/** The address `offset` further (or, negative, before). Throws NET_ADDRESS_INVALID outside the family. */
export function addToIp(ip: Ip, offset: bigint | number): Ip {
  const value = ip.value + BigInt(offset);
  if (value < 0n || value >> BigInt(addressBits[ip.family]) !== 0n) {
    throw new PluginError('NET_ADDRESS_INVALID', `${formatIp(ip)} plus ${offset} is no IPv${ip.family} address`);
  }
  return { family: ip.family, value };
}

/** What the address is for. */
export function ipRange(ip: Ip): IpRange {
  return ip.family === 4 ? new ipaddr.IPv4([...ipToBytes(ip)]).range() : ipv6(ip).range();
}

function ipv6(ip: Ip): ipaddr.IPv6 {
  return new ipaddr.IPv6([...ipToBytes(ip)]);
}

function joinParts(parts: Iterable<number>, bitsEach: bigint): bigint {
  let value = 0n;
  for (const part of parts) value = (value << bitsEach) | BigInt(part);
  return value;
}
