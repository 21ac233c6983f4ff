/** Routes, ip-route(8): struct rtmsg and RTA_*, <linux/rtnetlink.h>. One next hop each. */
import { KernelError } from '../errors.ts';
import { AF_INET, AF_INET6 } from '../syscall.ts';
import { ipBytes, ipFamily, ipText, parsePrefix } from './address-bytes.ts';
import {
  type MessageWriter,
  NetlinkFormatError,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  readAttributes,
} from './message.ts';
import { type Scope, scopeNumbers, scopeWord } from './scope.ts';
import type { NetlinkSocket, Request } from './socket.ts';

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_IIF = 3;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_MARK = 16;
const RTA_VIA = 18;
const RTAX_MTU = 2;
const RTNH_F_ONLINK = 4;
const RTM_F_CLONED = 0x200;
const RTM_F_LOOKUP_TABLE = 0x1000;
const rtmsgSize = 12;

export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;
export const RTPROT_KERNEL = 2;
export const RTPROT_BOOT = 3;
export const RTPROT_STATIC = 4;

const typeNumbers = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
} as const;

export type RouteType = keyof typeof typeNumbers;

export interface NewRoute {
  /** `198.51.100.0/24`; the default route is `0.0.0.0/0` or `::/0`. */
  readonly destination: string;
  /** Also of the other family (RFC 5549), IPv4 by way of an IPv6 router. */
  readonly gateway?: string;
  /** Index of the link it goes out by. */
  readonly link?: number;
  /** The gateway counts as a neighbour on the link although no address there covers it. */
  readonly onlink?: boolean;
  /** Source address of what this host sends itself. */
  readonly source?: string;
  /** Default 254, main. */
  readonly table?: number;
  /** Lower is preferred; IPv6 reads 0 as 1024. */
  readonly metric?: number;
  readonly mtu?: number;
  readonly type?: RouteType;
  /** Default: link without a gateway, host for local ones, else global. */
  readonly scope?: Scope;
  /** Who made it, RTPROT_*; default static. */
  readonly protocol?: number;
}

export interface Route {
  readonly family: 4 | 6;
  readonly destination: string;
  readonly gateway: string | undefined;
  readonly link: number | undefined;
  readonly source: string | undefined;
  readonly table: number;
  readonly metric: number;
  readonly mtu: number | undefined;
  readonly type: RouteType;
  readonly scope: Scope;
  readonly protocol: number;
  readonly onlink: boolean;
}

/** Fails with EEXIST when there is such a route. */
export function addRoute(route: NewRoute): Request {
  return routeRequest('RTM_NEWROUTE', RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
}

/** Adds it, or puts it in place of the one with this destination, metric and table. */
export function replaceRoute(route: NewRoute): Request {
  return routeRequest('RTM_NEWROUTE', RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
}

/** Fails with ESRCH when there is none that has all of what is given. */
export function deleteRoute(route: NewRoute): Request {
  return routeRequest('RTM_DELROUTE', RTM_DELROUTE, 0, route);
}

function routeRequest(call: string, messageType: number, flags: number, route: NewRoute): Request {
  const destination = parsePrefix(route.destination);
  const deleting = messageType === RTM_DELROUTE;
  const table = route.table ?? RT_TABLE_MAIN;
  return {
    call,
    describe: () => routeText(route),
    type: messageType,
    flags,
    write: (writer) => {
      writer.u8(destination.family);
      writer.u8(destination.length);
      writer.u8(0);
      writer.u8(0);
      writer.u8(table > 255 ? 0 : table);
      // In a deletion 0 and "nowhere" stand for any.
      writer.u8(route.protocol ?? (deleting ? 0 : RTPROT_STATIC));
      writer.u8(scopeNumbers[route.scope ?? (deleting ? 'nowhere' : defaultScope(route))]);
      writer.u8(route.type === undefined && deleting ? 0 : typeNumbers[route.type ?? 'unicast']);
      writer.u32(route.onlink ? RTNH_F_ONLINK : 0);
      if (destination.length > 0) writer.attribute(RTA_DST, destination.bytes);
      writeHop(writer, destination.family, route);
      writer.attributeU32(RTA_TABLE, table);
      if (route.metric !== undefined) writer.attributeU32(RTA_PRIORITY, route.metric);
      const { mtu } = route;
      if (mtu !== undefined) writer.nest(RTA_METRICS, () => writer.attributeU32(RTAX_MTU, mtu));
    },
  };
}

function writeHop(writer: MessageWriter, family: number, { gateway, link, source }: NewRoute): void {
  if (gateway !== undefined) {
    const bytes = ipBytes(gateway);
    if (ipFamily(bytes) === family) writer.attribute(RTA_GATEWAY, bytes);
    // struct rtvia: family, address
    else writer.attribute(RTA_VIA, Buffer.concat([Buffer.from([ipFamily(bytes), 0]), bytes]));
  }
  if (link !== undefined) writer.attributeU32(RTA_OIF, link);
  if (source !== undefined) writer.attribute(RTA_PREFSRC, ipBytes(source));
}

function defaultScope({ type = 'unicast', gateway }: NewRoute): Scope {
  if (type === 'local') return 'host';
  return type === 'unicast' && gateway === undefined ? 'link' : 'global';
}

function routeText({ destination, gateway, link, table, metric }: NewRoute): string {
  return [
    destination,
    gateway && `via ${gateway}`,
    link !== undefined && `link=${link}`,
    table !== undefined && `table=${table}`,
    metric !== undefined && `metric=${metric}`,
  ]
    .filter(Boolean)
    .join(' ');
}

export interface RouteFilter {
  readonly family?: 4 | 6;
  readonly table?: number;
  readonly link?: number;
}

/** All tables, `local` too, unless the filter says otherwise. A route with several next hops appears once for each. */
export function listRoutes(socket: NetlinkSocket, { family, table, link }: RouteFilter = {}): Route[] {
  const answers = socket.dump({
    call: 'RTM_GETROUTE',
    describe: () => `dump table=${table ?? 'all'}`,
    type: RTM_GETROUTE,
    flags: 0,
    write: (writer) => {
      writer.u8(family === undefined ? 0 : family === 4 ? AF_INET : AF_INET6);
      writer.skip(rtmsgSize - 1);
    },
  });
  return answers
    .flatMap(({ body }) => readRoutes(body))
    .filter((route) => (table ?? route.table) === route.table && (link === undefined || link === route.link));
}

export interface RouteQuery {
  readonly source?: string;
  /** Index of the link that the packet came in by, or goes out by. */
  readonly inLink?: number;
  readonly outLink?: number;
  readonly mark?: number;
}

/** The route that a packet to this address takes now. Throws ENETUNREACH when there is none. */
export function getRoute(socket: NetlinkSocket, destination: string, query: RouteQuery = {}): Route {
  const bytes = ipBytes(destination);
  const body = socket.get({
    call: 'RTM_GETROUTE',
    describe: () => destination,
    type: RTM_GETROUTE,
    flags: 0,
    write: (writer) => {
      writer.u8(ipFamily(bytes));
      writer.u8(bytes.length * 8);
      writer.u8(query.source === undefined ? 0 : bytes.length * 8);
      writer.skip(5);
      // IPv6 names the table anyway and refuses the flag.
      writer.u32(bytes.length === 4 ? RTM_F_LOOKUP_TABLE : 0);
      writer.attribute(RTA_DST, bytes);
      if (query.source !== undefined) writer.attribute(RTA_SRC, ipBytes(query.source));
      if (query.inLink !== undefined) writer.attributeU32(RTA_IIF, query.inLink);
      if (query.outLink !== undefined) writer.attributeU32(RTA_OIF, query.outLink);
      if (query.mark !== undefined) writer.attributeU32(RTA_MARK, query.mark);
    },
  });
  const route = readRoutes(body)[0];
  if (!route) throw new KernelError({ errno: 101, call: 'RTM_GETROUTE', args: destination });
  // For an unreachable destination IPv6 answers with a route of that type where IPv4 answers with an error.
  if (route.type === 'unreachable') throw new KernelError({ errno: 101, call: 'RTM_GETROUTE', args: destination });
  return route;
}

/** Reads the body of RTM_NEWROUTE or RTM_DELROUTE. Cached routes (RTM_F_CLONED in a dump) are IPv6's own business. */
export function readRoutes(body: Buffer): Route[] {
  if (body.length < rtmsgSize) throw new NetlinkFormatError('RTM_NEWROUTE without its header');
  const found = readAttributes(body, rtmsgSize);
  const family = body.readUInt8(0);
  const length = body.readUInt8(1);
  const flags = body.readUInt32LE(8);
  const destination = found.get(RTA_DST) ?? Buffer.alloc(family === AF_INET6 ? 16 : 4);
  const source = found.get(RTA_PREFSRC);
  const metrics = found.get(RTA_METRICS);
  const route: Route = {
    family: family === AF_INET6 ? 6 : 4,
    destination: `${ipText(destination)}/${length}`,
    gateway: readGateway(found),
    link: found.get(RTA_OIF)?.readUInt32LE(),
    source: source && ipText(source),
    table: found.get(RTA_TABLE)?.readUInt32LE() ?? body.readUInt8(4),
    metric: found.get(RTA_PRIORITY)?.readUInt32LE() ?? 0,
    mtu: metrics && readAttributes(metrics).get(RTAX_MTU)?.readUInt32LE(),
    type: routeType(body.readUInt8(7)),
    scope: scopeWord(body.readUInt8(6)),
    protocol: body.readUInt8(5),
    onlink: (flags & RTNH_F_ONLINK) !== 0,
  };
  const hops = found.get(RTA_MULTIPATH);
  return hops ? readHops(hops).map((hop) => ({ ...route, ...hop })) : [route];
}

export function isClonedRoute(body: Buffer): boolean {
  return (body.readUInt32LE(8) & RTM_F_CLONED) !== 0;
}

/** struct rtnexthop: len:16 flags:8 hops:8 ifindex:32, attributes. */
function readHops(bytes: Buffer): Pick<Route, 'gateway' | 'link' | 'onlink'>[] {
  const hops: Pick<Route, 'gateway' | 'link' | 'onlink'>[] = [];
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt16LE(at);
    if (size < 8 || at + size > bytes.length) throw new NetlinkFormatError(`next hop cut at byte ${at}`);
    hops.push({
      gateway: readGateway(readAttributes(bytes.subarray(at + 8, at + size))),
      link: bytes.readUInt32LE(at + 4),
      onlink: (bytes.readUInt8(at + 2) & RTNH_F_ONLINK) !== 0,
    });
    at += (size + 3) & ~3;
  }
  return hops;
}

function readGateway(found: ReadonlyMap<number, Buffer>): string | undefined {
  const gateway = found.get(RTA_GATEWAY) ?? found.get(RTA_VIA)?.subarray(2);
  return gateway && ipText(gateway);
}

function routeType(number: number): RouteType {
  for (const [word, value] of Object.entries(typeNumbers)) if (value === number) return word as RouteType;
  return 'unicast';
}
