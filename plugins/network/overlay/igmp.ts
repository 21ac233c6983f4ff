/** A general query of IGMPv3, which asks everybody on a link for the groups they want: RFC 3376 §4.1. Pure. */
import { ipBytes } from '../../linux/netlink/address-bytes.ts';
import { internetChecksum } from '../neighbour/checksum.ts';

const allSystems = '224.0.0.1';
/** Tenths of a second within which the answers come. */
const responseTenths = 10;
/** Seconds between queries, as the message says. */
export const queryIntervalSeconds = 60;
const headerSize = 24;
const querySize = 12;

/** The IPv4 packet. `source`: an address of the host on the link, or 0.0.0.0 where it has none. */
export function igmpQuery(source: string): Buffer {
  const packet = Buffer.alloc(headerSize + querySize);
  // Version 4, six words; internetwork control (RFC 2474), TTL 1, IGMP, and the router alert option (RFC 2113).
  packet.set([0x46, 0xc0, 0, packet.length, 0, 0, 0, 0, 1, 2], 0);
  packet.set(ipBytes(source), 12);
  packet.set(ipBytes(allSystems), 16);
  packet.set([0x94, 4, 0, 0], 20);
  packet.writeUInt16BE(internetChecksum(packet.subarray(0, headerSize)), 10);
  // Membership query; robustness 2.
  packet.set([0x11, responseTenths], headerSize);
  packet.set([2, queryIntervalSeconds], headerSize + 8);
  packet.writeUInt16BE(internetChecksum(packet.subarray(headerSize)), headerSize + 2);
  return packet;
}
