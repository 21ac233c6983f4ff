/** A general query of MLDv2, which asks everybody on a link for the IPv6 groups they want: RFC 3810 §5.1. Pure. */
import { encodeIp6 } from '../neighbour/ip6.ts';
import { queryIntervalSeconds } from './igmp.ts';

export const allNodes = 'ff02::1';
/** Milliseconds within which the answers come. */
const responseMs = 1000;
const headerSize = 40;
const querySize = 28;
const icmp6 = 58;
/** Hop-by-hop options: the router alert of RFC 2711, padded to eight bytes (RFC 8200 §4.2, §4.3). */
const routerAlert = Buffer.from([icmp6, 0, 5, 2, 0, 0, 1, 0]);

/** The IPv6 packet. `source`: a link-local address, without which nobody takes it. */
export function mldQuery(source: string): Buffer {
  const query = Buffer.alloc(querySize);
  query[0] = 130;
  query.writeUInt16BE(responseMs, 4);
  // Robustness 2.
  query.set([2, queryIntervalSeconds], 24);
  const packet = encodeIp6({ source, destination: allNodes, nextHeader: icmp6, hopLimit: 1, payload: query }, 2);
  packet[6] = 0;
  packet.writeUInt16BE(routerAlert.length + querySize, 4);
  return Buffer.concat([packet.subarray(0, headerSize), routerAlert, packet.subarray(headerSize)]);
}
