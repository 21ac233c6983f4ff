/** ARP packets as bytes. RFC 826, RFC 5227. Pure. */
import { ipToBytes, parseIp } from '../address/ip.ts';
import { macFromBytes, macToBytes, parseMac } from '../address/mac.ts';

const arpBytes = 28;

export interface ArpPacket {
  readonly senderMac: string;
  /** Dotted; 0.0.0.0 in a probe. */
  readonly senderIp: string;
  readonly targetIp: string;
}

/** A request: who has `targetIp`? With both addresses the same it is an announcement (RFC 5227 §3). */
export function encodeArpRequest({ senderMac, senderIp, targetIp }: ArpPacket): Buffer {
  const packet = Buffer.alloc(arpBytes);
  packet.writeUInt16BE(1, 0); // Ethernet
  packet.writeUInt16BE(0x0800, 2);
  packet[4] = 6;
  packet[5] = 4;
  packet.writeUInt16BE(1, 6); // request
  packet.set(macToBytes(parseMac(senderMac)), 8);
  packet.set(ipToBytes(parseIp(senderIp)), 14);
  packet.set(ipToBytes(parseIp(targetIp)), 24);
  return packet;
}

/** A neighbour says that it has an address. */
export interface Claim {
  readonly ip: string;
  /** Missing where the message has none. */
  readonly mac: string | undefined;
}

/** The sender's claim, in a request or a reply; undefined for what is no ARP of IPv4 over Ethernet, and for a probe (RFC 5227 §1.1). */
export function decodeArpClaim(packet: Buffer): Claim | undefined {
  if (packet.length < arpBytes || packet.readUInt16BE(0) !== 1 || packet.readUInt16BE(2) !== 0x0800) return undefined;
  if (packet[4] !== 6 || packet[5] !== 4 || packet.readUInt32BE(14) === 0) return undefined;
  return { mac: macFromBytes(packet.subarray(8, 14)), ip: packet.subarray(14, 18).join('.') };
}
