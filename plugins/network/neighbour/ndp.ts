/** Neighbour discovery messages as bytes: RFC 4861 §4.3 and §4.4; as a question for duplicates RFC 4862 §5.4. Pure. */
import { formatIp, ipFromBytes, ipToBytes, parseIp } from '../address/ip.ts';
import { macFromBytes, macToBytes, parseMac } from '../address/mac.ts';
import type { Claim } from './arp.ts';
import { decodeIp6, encodeIp6 } from './ip6.ts';

const icmp6 = 58;
const solicitation = 135;
const advertisement = 136;
const sourceLinkLayer = 1;
const targetLinkLayer = 2;
const override = 0x20000000;
const unspecified = '::';
export const allNodes = 'ff02::1';

/** Who has `target`? From the unspecified address: it is not ours yet. */
export function encodeProbe(target: string): { readonly destination: string; readonly packet: Buffer } {
  const destination = solicitedNode(target);
  const payload = Buffer.alloc(24);
  payload[0] = solicitation;
  payload.set(ipToBytes(parseIp(target)), 8);
  // Hop limit 255: nobody believes what has passed a router.
  const packet = encodeIp6({ source: unspecified, destination, nextHeader: icmp6, hopLimit: 255, payload }, 2);
  return { destination, packet };
}

/** `address` is at `mac`, told to everybody without being asked, in place of what they knew. RFC 4861 §7.2.6 */
export function encodeAnnouncement(address: string, mac: string): Buffer {
  const payload = Buffer.alloc(32);
  payload[0] = advertisement;
  payload.writeUInt32BE(override, 4);
  payload.set(ipToBytes(parseIp(address)), 8);
  payload[24] = targetLinkLayer;
  payload[25] = 1;
  payload.set(macToBytes(parseMac(mac)), 26);
  return encodeIp6({ source: address, destination: allNodes, nextHeader: icmp6, hopLimit: 255, payload }, 2);
}

/** The sender's claim; undefined for what is no neighbour discovery, and for a question about duplicates (RFC 4862 §5.4.2). */
export function decodeNdpClaim(packet: Buffer): Claim | undefined {
  const ip6 = decodeIp6(packet);
  if (ip6 === undefined || ip6.nextHeader !== icmp6 || ip6.hopLimit !== 255 || ip6.payload.length < 24)
    return undefined;
  const { payload, source } = ip6;
  if (payload[0] === advertisement)
    return { ip: formatIp(ipFromBytes(payload.subarray(8, 24))), mac: linkLayer(payload, targetLinkLayer) };
  if (payload[0] !== solicitation || source === unspecified) return undefined;
  return { ip: source, mac: linkLayer(payload, sourceLinkLayer) };
}

/** `ff02::1:ff` and the last three bytes. RFC 4291 §2.7.1 */
export function solicitedNode(address: string): string {
  const bytes = Buffer.from('ff0200000000000000000001ff000000', 'hex');
  bytes.set(ipToBytes(parseIp(address)).subarray(13), 13);
  return formatIp(ipFromBytes(bytes));
}

/** RFC 4861 §4.6: type, length in units of 8 bytes. A length of nought ends the reading. */
function linkLayer(payload: Buffer, wanted: number): string | undefined {
  for (let at = 24; at + 8 <= payload.length; ) {
    const length = (payload[at + 1] ?? 0) * 8;
    if (length === 0) return undefined;
    if (payload[at] === wanted) return macFromBytes(payload.subarray(at + 2, at + 8));
    at += length;
  }
  return undefined;
}
