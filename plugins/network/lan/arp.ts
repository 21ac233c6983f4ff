/** ARP packets and neighbour messages, as bytes. RFC 826, RFC 4861, RFC 5227. Pure. */
import { ipToBytes, parseIp } from '../address/ip.ts';
import { macToBytes, parseMac } from '../address/mac.ts';

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

/** Who says to have which address, in a request or a reply; undefined for what is no ARP of IPv4 over Ethernet. */
export function decodeArpSender(packet: Buffer): { readonly mac: string; readonly ip: string } | undefined {
  if (packet.length < arpBytes || packet.readUInt16BE(0) !== 1 || packet.readUInt16BE(2) !== 0x0800) return undefined;
  if (packet[4] !== 6 || packet[5] !== 4) return undefined;
  const mac = [...packet.subarray(8, 14)].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
  return { mac, ip: packet.subarray(14, 18).join('.') };
}
