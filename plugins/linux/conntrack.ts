/**
 * Forgets connections, conntrack(8) -D: UDP flows that began before a port was published, or went to a container that is
 * gone, would go on the old way for as long as they are kept alive. <linux/netfilter/nfnetlink_conntrack.h>
 */
import { isKernelError } from './errors.ts';
import { ipBytes, ipFamily, ipText } from './netlink/address-bytes.ts';
import { type MessageWriter, readAttributes } from './netlink/message.ts';
import {
  NFNL_SUBSYS_CTNETLINK,
  netfilterFamily,
  netfilterType,
  nfgenmsgSize,
  writeNetfilterHeader,
} from './netlink/netfilter.ts';
import { NETLINK_NETFILTER, NetlinkSocket, type Request } from './netlink/socket.ts';
import type { Netns } from './netns.ts';
import { AF_INET, AF_INET6 } from './syscall.ts';

const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
/** <net/netfilter/nf_internals.h> CTA_FILTER_F_CTA_PROTO_NUM */
const filterProtocol = 1 << 3;

/** What is given must match. */
export interface Flow {
  readonly family: 4 | 6;
  /** 17 UDP, 6 TCP, 132 SCTP. */
  readonly protocol: number;
  /** Where the first packet of the connection was sent to, before any translation. */
  readonly destination?: string;
  readonly destinationPort?: number;
  /** Last of a range that begins with `destinationPort`. */
  readonly destinationPortEnd?: number;
  /** Where answers come from: after translation the container. */
  readonly replySource?: string;
  readonly replySourcePort?: number;
  readonly replySourcePortEnd?: number;
}

interface Tuple {
  readonly source: Buffer | undefined;
  readonly destination: Buffer | undefined;
  readonly protocol: number | undefined;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
}

/** Deletes every connection that matches one of the flows; returns how many. One walk over the table for each family and protocol. */
export function forgetConnections(flows: readonly Flow[], netns?: Netns): number {
  using socket = new NetlinkSocket(NETLINK_NETFILTER, netns);
  let count = 0;
  for (const group of Map.groupBy(flows, (flow) => `${flow.family}/${flow.protocol}`).values()) {
    const [first] = group;
    if (!first) continue;
    const matchers = group.map(matcher);
    const deletions = socket
      .dump(dumpRequest(first))
      .filter(({ body }) => netfilterFamily(body) === (first.family === 4 ? AF_INET : AF_INET6))
      .map(({ body }) => ({ body, found: readAttributes(body, nfgenmsgSize) }))
      .filter(({ found }) => matchers.some((matches) => matches(found)))
      .map(({ body, found }) => deleteRequest(netfilterFamily(body), found));
    for (const error of socket.attempt(deletions)) {
      if (!error) count++;
      // It ended by itself meanwhile.
      else if (!isKernelError(error, 'ENOENT')) throw error;
    }
  }
  return count;
}

/** A UDP flow that the packet filter redirected to a socket of this host, as that socket sees it. IPv6. */
export interface RedirectedFlow {
  readonly client: string;
  readonly clientPort: number;
  /** Of the socket. */
  readonly localPort: number;
}

/** Where the client had sent it to; undefined when the kernel does not know the flow (any more). */
export function findRedirectedFlow(
  { client, clientPort, localPort }: RedirectedFlow,
  netns?: Netns,
): { address: string; port: number } | undefined {
  using socket = new NetlinkSocket(NETLINK_NETFILTER, netns);
  const source = ipBytes(client);
  for (const { body } of socket.dump(dumpRequest({ family: 6, protocol: 17 }))) {
    const found = readAttributes(body, nfgenmsgSize);
    const reply = readTuple(found.get(CTA_TUPLE_REPLY));
    if (reply.destinationPort !== clientPort || reply.sourcePort !== localPort) continue;
    if (reply.destination?.equals(source) !== true) continue;
    const { destination, destinationPort } = readTuple(found.get(CTA_TUPLE_ORIG));
    if (destination && destinationPort !== undefined) return { address: ipText(destination), port: destinationPort };
  }
  return undefined;
}

function dumpRequest({ family, protocol }: Flow): Request {
  return {
    call: 'IPCTNL_MSG_CT_GET',
    describe: () => `dump protocol=${protocol}`,
    type: netfilterType(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET),
    flags: 0,
    write: (writer) => {
      writeNetfilterHeader(writer, family === 4 ? AF_INET : AF_INET6);
      // Kernels before 5.8 ignore the filter and show everything.
      writer.nest(CTA_TUPLE_ORIG, () =>
        writer.nest(CTA_TUPLE_PROTO, () => writer.attributeU8(CTA_PROTO_NUM, protocol)),
      );
      writer.nest(CTA_FILTER, () => {
        writer.attributeU32(CTA_FILTER_ORIG_FLAGS, filterProtocol);
        writer.attributeU32(CTA_FILTER_REPLY_FLAGS, 0);
      });
    },
  };
}

function deleteRequest(family: number, found: ReadonlyMap<number, Buffer>): Request {
  return {
    call: 'IPCTNL_MSG_CT_DELETE',
    describe: () => 'connection',
    type: netfilterType(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE),
    flags: 0,
    write: (writer: MessageWriter) => {
      writeNetfilterHeader(writer, family);
      // With the id, a new connection of the same addresses is left alone.
      for (const type of [CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID]) {
        const payload = found.get(type);
        if (payload) writer.attribute(type === CTA_TUPLE_ORIG ? type | 0x8000 : type, payload);
      }
    },
  };
}

function matcher(flow: Flow): (found: ReadonlyMap<number, Buffer>) => boolean {
  const destination = flow.destination === undefined ? undefined : ipBytes(flow.destination);
  const replySource = flow.replySource === undefined ? undefined : ipBytes(flow.replySource);
  for (const address of [destination, replySource]) {
    if (address && ipFamily(address) !== (flow.family === 4 ? AF_INET : AF_INET6)) {
      throw new TypeError('an address of the flow is of another family than the flow');
    }
  }
  return (found) => {
    const original = readTuple(found.get(CTA_TUPLE_ORIG));
    const reply = readTuple(found.get(CTA_TUPLE_REPLY));
    return (
      original.protocol === flow.protocol &&
      (destination === undefined || original.destination?.equals(destination) === true) &&
      inRange(original.destinationPort, flow.destinationPort, flow.destinationPortEnd) &&
      (replySource === undefined || reply.source?.equals(replySource) === true) &&
      inRange(reply.sourcePort, flow.replySourcePort, flow.replySourcePortEnd)
    );
  };
}

function inRange(port: number | undefined, first: number | undefined, last = first): boolean {
  return first === undefined || last === undefined || (port !== undefined && first <= port && port <= last);
}

function readTuple(bytes: Buffer = Buffer.alloc(0)): Tuple {
  const found = readAttributes(bytes);
  // CTA_IP_V4_SRC 1, V4_DST 2, V6_SRC 3, V6_DST 4
  const ip = readAttributes(found.get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  const protocol = readAttributes(found.get(CTA_TUPLE_PROTO) ?? Buffer.alloc(0));
  return {
    source: ip.get(1) ?? ip.get(3),
    destination: ip.get(2) ?? ip.get(4),
    protocol: protocol.get(CTA_PROTO_NUM)?.[0],
    sourcePort: protocol.get(CTA_PROTO_SRC_PORT)?.readUInt16BE(),
    destinationPort: protocol.get(CTA_PROTO_DST_PORT)?.readUInt16BE(),
  };
}
