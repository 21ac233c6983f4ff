/** IPv6 packets around one upper-layer message: header and checksum. RFC 8200 §3 and §8.1. Pure. */
import { formatIp, ipFromBytes, ipToBytes, parseIp } from '../address/ip.ts';
import { internetChecksum } from './checksum.ts';

const headerBytes = 40;

export interface Ip6Packet {
  readonly source: string;
  readonly destination: string;
  /** Of the upper layer: 58 ICMPv6, 17 UDP. */
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly payload: Buffer;
}

/** `checksumAt`: where in the payload the checksum over pseudo header and payload is written. */
export function encodeIp6(packet: Ip6Packet, checksumAt: number): Buffer {
  const { source, destination, nextHeader, hopLimit, payload } = packet;
  const bytes = Buffer.alloc(headerBytes + payload.length);
  bytes[0] = 0x60;
  bytes.writeUInt16BE(payload.length, 4);
  bytes[6] = nextHeader;
  bytes[7] = hopLimit;
  bytes.set(ipToBytes(parseIp(source)), 8);
  bytes.set(ipToBytes(parseIp(destination)), 24);
  bytes.set(payload, headerBytes);
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(payload.length, 0);
  tail[7] = nextHeader;
  const sum = internetChecksum(Buffer.concat([bytes.subarray(8, headerBytes), tail, payload]));
  // RFC 768: nought stands for "no checksum", which IPv6 does not allow.
  bytes.writeUInt16BE(sum || 0xffff, headerBytes + checksumAt);
  return bytes;
}

/** undefined for what is no whole IPv6 packet. The payload is a view; extension headers are left in it. */
export function decodeIp6(packet: Buffer): Ip6Packet | undefined {
  if (packet.length < headerBytes || (packet[0] ?? 0) >> 4 !== 6) return undefined;
  const length = packet.readUInt16BE(4);
  if (headerBytes + length > packet.length) return undefined;
  return {
    source: formatIp(ipFromBytes(packet.subarray(8, 24))),
    destination: formatIp(ipFromBytes(packet.subarray(24, 40))),
    nextHeader: packet[6] ?? 0,
    hopLimit: packet[7] ?? 0,
    payload: packet.subarray(headerBytes, headerBytes + length),
  };
}

/** `33:33` and the last four bytes of a multicast address. RFC 2464 §7. */
export function multicastMac(address: string): string {
  const tail = [...ipToBytes(parseIp(address)).subarray(12)].map((byte) => byte.toString(16).padStart(2, '0'));
  return `33:33:${tail.join(':')}`;
}
