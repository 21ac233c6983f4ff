/** IPv4 packets with UDP inside, for sending before there is an address. RFC 791, RFC 768. Pure. */
import { formatIp, ipFromBytes, ipToBytes, parseIp } from '../../address/ip.ts';
import { internetChecksum } from '../../neighbour/checksum.ts';

const ipHeaderBytes = 20;
const udpHeaderBytes = 8;
const udpProtocol = 17;
const moreFragments = 0x2000;
const offsetBits = 0x1fff;

export interface Datagram {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly payload: Buffer;
}

export function encodeDatagram({ source, sourcePort, destination, destinationPort, payload }: Datagram): Buffer {
  const length = ipHeaderBytes + udpHeaderBytes + payload.length;
  const packet = Buffer.alloc(length);
  packet[0] = 0x45;
  packet.writeUInt16BE(length, 2);
  packet[8] = 64;
  packet[9] = udpProtocol;
  packet.set(ipToBytes(parseIp(source)), 12);
  packet.set(ipToBytes(parseIp(destination)), 16);
  packet.writeUInt16BE(internetChecksum(packet.subarray(0, ipHeaderBytes)), 10);
  packet.writeUInt16BE(sourcePort, ipHeaderBytes);
  packet.writeUInt16BE(destinationPort, ipHeaderBytes + 2);
  packet.writeUInt16BE(udpHeaderBytes + payload.length, ipHeaderBytes + 4);
  packet.set(payload, ipHeaderBytes + udpHeaderBytes);
  // RFC 768: over a pseudo header of addresses, protocol and length.
  const pseudo = Buffer.concat([
    packet.subarray(12, 20),
    Buffer.from([0, udpProtocol, 0, 0]),
    packet.subarray(ipHeaderBytes),
  ]);
  pseudo.writeUInt16BE(udpHeaderBytes + payload.length, 10);
  packet.writeUInt16BE(internetChecksum(pseudo) || 0xffff, ipHeaderBytes + 6);
  return packet;
}

/** undefined for what is no whole UDP datagram. The checksum is left to the link: a virtual one often leaves it unfinished. */
export function decodeDatagram(packet: Buffer): Datagram | undefined {
  const first = packet[0] ?? 0;
  const headerBytes = (first & 15) * 4;
  if (
    first >> 4 !== 4 ||
    headerBytes < ipHeaderBytes ||
    packet.length < headerBytes + udpHeaderBytes ||
    packet[9] !== udpProtocol
  )
    return undefined;
  if ((packet.readUInt16BE(6) & (moreFragments | offsetBits)) !== 0) return undefined;
  const udpBytes = packet.readUInt16BE(headerBytes + 4);
  if (udpBytes < udpHeaderBytes || headerBytes + udpBytes > packet.length) return undefined;
  return {
    source: formatIp(ipFromBytes(packet.subarray(12, 16))),
    sourcePort: packet.readUInt16BE(headerBytes),
    destination: formatIp(ipFromBytes(packet.subarray(16, 20))),
    destinationPort: packet.readUInt16BE(headerBytes + 2),
    payload: packet.subarray(headerBytes + udpHeaderBytes, headerBytes + udpBytes),
  };
}
