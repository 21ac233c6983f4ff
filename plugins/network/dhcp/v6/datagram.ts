/** UDP in IPv6 packets, for sending from a link without a socket of the host's. RFC 8200, RFC 768. Pure. */
import { decodeIp6, encodeIp6 } from '../../neighbour/ip6.ts';

const udp = 17;
const udpHeaderBytes = 8;
/** What a host gives its packets by default; they stay on the link in any case. */
const hopLimit = 64;

export interface Datagram6 {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly payload: Buffer;
}

export function encodeDatagram6(datagram: Datagram6): Buffer {
  const { source, destination, sourcePort, destinationPort, payload } = datagram;
  const segment = Buffer.alloc(udpHeaderBytes + payload.length);
  segment.writeUInt16BE(sourcePort, 0);
  segment.writeUInt16BE(destinationPort, 2);
  segment.writeUInt16BE(segment.length, 4);
  segment.set(payload, udpHeaderBytes);
  return encodeIp6({ source, destination, nextHeader: udp, hopLimit, payload: segment }, 6);
}

/** undefined for what is no whole UDP datagram. The checksum is left to the link: a virtual one often leaves it unfinished. */
export function decodeDatagram6(packet: Buffer): Datagram6 | undefined {
  const ip6 = decodeIp6(packet);
  if (ip6 === undefined || ip6.nextHeader !== udp || ip6.payload.length < udpHeaderBytes) return undefined;
  const { source, destination, payload } = ip6;
  const length = payload.readUInt16BE(4);
  if (length < udpHeaderBytes || length > payload.length) return undefined;
  return {
    source,
    destination,
    sourcePort: payload.readUInt16BE(0),
    destinationPort: payload.readUInt16BE(2),
    payload: payload.subarray(udpHeaderBytes, length),
  };
}
