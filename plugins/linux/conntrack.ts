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
/** net/netfilter/nf_internals.h: which parts of a tuple count. */
const filterSource = 1 << 0;
const filterDestination = 1 << 1;
const filterProtocol = 1 << 3;
const filterSourcePort = 1 << 4;
const filterDestinationPort = 1 << 5;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
/** A walk over the table costs as much as three thousand connections shown and thrown away: a few, and then one for all. */
const filteredWalks = 4;

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

/**
 * Deletes every connection that matches one of the flows; returns how many. The kernel picks them out where the flows are
 * few, so that a table of many thousand connections does not pass through here.
 */
export function forgetConnections(flows: readonly Flow[], netns?: Netns): number {
  using socket = new NetlinkSocket(NETLINK_NETFILTER, netns);
  let count = 0;
  for (const group of Map.groupBy(flows, (flow) => `${flow.family}/${flow.protocol}`).values()) {
    const walks =
      group.length <= filteredWalks ? group : group.slice(0, 1).map(({ family, protocol }) => ({ family, protocol }));
    for (const walk of walks) count += forgetFound(socket, walk, group);
  }
  return count;
}

function forgetFound(socket: NetlinkSocket, walk: Flow, flows: readonly Flow[]): number {
  const matchers = flows.map(matcher);
  const deletions = socket
    .dump(dumpRequest(walk))
    // Kernels before 5.8 ignore the filter and show everything.
    .filter(({ body }) => netfilterFamily(body) === familyNumber(walk))
    .map(({ body }) => readAttributes(body, nfgenmsgSize))
    .filter((found) => matchers.some((matches) => matches(found)))
    .map((found) => deleteRequest(familyNumber(walk), found));
  let count = 0;
  for (const error of socket.attempt(deletions)) {
    if (!error) count++;
    // It ended by itself meanwhile.
    else if (!isKernelError(error, 'ENOENT')) throw error;
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
  for (const { body } of socket.dump(dumpRequest({ family: 6, protocol: 17, replySourcePort: localPort }))) {
    const found = readAttributes(body, nfgenmsgSize);
    const reply = readTuple(found.get(CTA_TUPLE_REPLY));
    if (reply.destinationPort !== clientPort || reply.sourcePort !== localPort) continue;
    if (reply.destination?.equals(source) !== true) continue;
    const { destination, destinationPort } = readTuple(found.get(CTA_TUPLE_ORIG));
    if (destination && destinationPort !== undefined) return { address: ipText(destination), port: destinationPort };
  }
  return undefined;
}

function familyNumber({ family }: Flow): number {
  return family === 4 ? AF_INET : AF_INET6;
}

function dumpRequest(flow: Flow): Request {
  const { protocol, destination, replySource } = flow;
  // The kernel compares with one port; ranges are left to the matcher.
  const destinationPort = singlePort(flow.destinationPort, flow.destinationPortEnd);
  const replySourcePort = singlePort(flow.replySourcePort, flow.replySourcePortEnd);
  const originalFlags =
    filterProtocol |
    (destination === undefined ? 0 : filterDestination) |
    (destinationPort === undefined ? 0 : filterDestinationPort);
  const replyFlags =
    (replySource === undefined ? 0 : filterSource) | (replySourcePort === undefined ? 0 : filterSourcePort);
  return {
    call: 'IPCTNL_MSG_CT_GET',
    describe: () => `dump ${JSON.stringify(flow)}`,
    type: netfilterType(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET),
    flags: 0,
    write: (writer) => {
      writeNetfilterHeader(writer, familyNumber(flow));
      writer.nest(CTA_TUPLE_ORIG, () => {
        writeTupleAddress(writer, destination, CTA_IP_V4_DST, CTA_IP_V6_DST);
        writer.nest(CTA_TUPLE_PROTO, () => {
          writer.attributeU8(CTA_PROTO_NUM, protocol);
          if (destinationPort !== undefined) writer.attributeU16be(CTA_PROTO_DST_PORT, destinationPort);
        });
      });
      if (replyFlags !== 0) {
        writer.nest(CTA_TUPLE_REPLY, () => {
          writeTupleAddress(writer, replySource, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
          writer.nest(CTA_TUPLE_PROTO, () => {
            writer.attributeU8(CTA_PROTO_NUM, protocol);
            if (replySourcePort !== undefined) writer.attributeU16be(CTA_PROTO_SRC_PORT, replySourcePort);
          });
        });
      }
      writer.nest(CTA_FILTER, () => {
        writer.attributeU32(CTA_FILTER_ORIG_FLAGS, originalFlags);
        writer.attributeU32(CTA_FILTER_REPLY_FLAGS, replyFlags === 0 ? 0 : replyFlags | filterProtocol);
      });
    },
  };
}

function singlePort(first: number | undefined, last = first): number | undefined {
  return first === last ? first : undefined;
}

function writeTupleAddress(writer: MessageWriter, address: string | undefined, type4: number, type6: number): void {
  const bytes = address === undefined ? undefined : ipBytes(address);
  writer.nest(CTA_TUPLE_IP, () => {
    if (bytes) writer.attribute(bytes.length === 4 ? type4 : type6, bytes);
  });
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
    if (address && ipFamily(address) !== familyNumber(flow)) {
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
  const ip = readAttributes(found.get(CTA_TUPLE_IP) ?? Buffer.alloc(0));
  const protocol = readAttributes(found.get(CTA_TUPLE_PROTO) ?? Buffer.alloc(0));
  return {
    source: ip.get(CTA_IP_V4_SRC) ?? ip.get(CTA_IP_V6_SRC),
    destination: ip.get(CTA_IP_V4_DST) ?? ip.get(CTA_IP_V6_DST),
    protocol: protocol.get(CTA_PROTO_NUM)?.[0],
    sourcePort: protocol.get(CTA_PROTO_SRC_PORT)?.readUInt16BE(),
    destinationPort: protocol.get(CTA_PROTO_DST_PORT)?.readUInt16BE(),
  };
}
