/** IP and MAC addresses between text and the bytes of kernel messages. Text that is no address is a TypeError. */
import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { AF_INET, AF_INET6 } from '../syscall.ts';

export interface Prefix {
  readonly family: number;
  readonly bytes: Buffer;
  readonly length: number;
}

export function ipBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (isIPv6(address) && !address.includes('%')) return Buffer.from(ipaddr.IPv6.parse(address).toByteArray());
  throw new TypeError(`"${address}" is no IP address`);
}

/** The family follows from the number of bytes, 4 or 16; IPv6 in the form of RFC 5952. */
export function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  if (bytes.length === 16) return new ipaddr.IPv6([...bytes]).toRFC5952String();
  throw new TypeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
}

export function ipFamily(bytes: Uint8Array): number {
  return bytes.length === 4 ? AF_INET : AF_INET6;
}

/** `192.0.2.1/24`; an address alone is the whole of it. Host bits are kept. */
export function parsePrefix(text: string): Prefix {
  const [address = '', length, ...rest] = text.split('/');
  const bytes = ipBytes(address);
  const bits = bytes.length * 8;
  const number = length === undefined ? bits : /^\d+$/.test(length) ? Number(length) : Number.NaN;
  if (!(number <= bits) || rest.length > 0) throw new TypeError(`"${text}" is no IP prefix`);
  return { family: ipFamily(bytes), bytes, length: number };
}

export function macBytes(mac: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) throw new TypeError(`"${mac}" is no MAC address`);
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

export function macText(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replaceAll(/(..)(?!$)/g, '$1:');
}
