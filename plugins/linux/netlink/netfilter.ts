/** What all of netfilter's netlink has in common, <linux/netfilter/nfnetlink.h>: struct nfgenmsg behind the header. */
import { type MessageWriter, NetlinkFormatError } from './message.ts';

export const NFNL_SUBSYS_CTNETLINK = 1;
export const NFNL_SUBSYS_NFTABLES = 10;
export const nfgenmsgSize = 4;

/** family:8 version:8 resource:16 in network order. */
export function writeNetfilterHeader(writer: MessageWriter, family: number, resource = 0): void {
  writer.u8(family);
  writer.u8(0);
  writer.u16be(resource);
}

export function netfilterType(subsystem: number, message: number): number {
  return (subsystem << 8) | message;
}

export function netfilterFamily(body: Buffer): number {
  if (body.length < nfgenmsgSize) throw new NetlinkFormatError('netfilter message without its header');
  return body.readUInt8(0);
}
