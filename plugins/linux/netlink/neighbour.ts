/**
 * Neighbours, <linux/neighbour.h>: who has an IP address (ARP, ND; ip-neighbour(8)), and behind which port or tunnel a MAC
 * address is (FDB of a bridge or VXLAN; bridge(8)). Both are RTM_*NEIGH, the second in family AF_BRIDGE.
 */
import { AF_BRIDGE, AF_INET, AF_INET6 } from '../syscall.ts';
import { ipBytes, ipFamily, ipText, macBytes, macText } from './address-bytes.ts';
import {
  type MessageWriter,
  NetlinkFormatError,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  readAttributes,
} from './message.ts';
import type { NetlinkSocket, Request } from './socket.ts';

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_VLAN = 5;
const NDA_PORT = 6;
const NDA_VNI = 7;
const NDA_IFINDEX = 8;
const NDA_MASTER = 9;
const NTF_SELF = 2;
const NTF_MASTER = 4;
const NTF_PROXY = 8;
const NTF_EXT_LEARNED = 0x10;
const NTF_STICKY = 0x40;
const NTF_ROUTER = 0x80;
const ndmsgSize = 12;

const stateNumbers = {
  none: 0,
  incomplete: 1,
  reachable: 2,
  stale: 4,
  delay: 8,
  probe: 0x10,
  failed: 0x20,
  noarp: 0x40,
  permanent: 0x80,
} as const;

export type NeighbourState = keyof typeof stateNumbers;

export interface NewNeighbour {
  /** Index of the link. */
  readonly link: number;
  readonly address: string;
  /** Left out for a proxy entry. */
  readonly mac?: string;
  /** Default permanent. */
  readonly state?: NeighbourState;
  /** The host answers for this address on the link. */
  readonly proxy?: boolean;
  readonly router?: boolean;
  readonly externallyLearned?: boolean;
}

export interface Neighbour {
  readonly link: number;
  readonly family: 4 | 6;
  readonly address: string;
  readonly mac: string | undefined;
  readonly state: NeighbourState;
  readonly proxy: boolean;
  readonly router: boolean;
  readonly externallyLearned: boolean;
}

/** An entry of the forwarding table: frames to `mac` leave by `link`, and for a VXLAN to `destination`. */
export interface NewFdbEntry {
  readonly link: number;
  /** All zeros on a VXLAN: where frames to unknown addresses and broadcasts go, any number of destinations. */
  readonly mac: string;
  /** VXLAN: address of the other VTEP. */
  readonly destination?: string;
  readonly vni?: number;
  readonly port?: number;
  readonly vlan?: number;
  /** Index of the link that a VXLAN's packets leave by. */
  readonly outLink?: number;
  /** `self`: the link's own table (VXLAN); `master`: that of the bridge it is a port of. */
  readonly table: 'self' | 'master';
  /** `permanent`: never forwarded (ours); `static`: stays; `dynamic`: ages. A VXLAN's entries are `static`. Default static. */
  readonly lifetime?: 'permanent' | 'static' | 'dynamic';
  readonly sticky?: boolean;
  readonly externallyLearned?: boolean;
}

export interface FdbEntry extends Omit<NewFdbEntry, 'sticky'> {
  readonly lifetime: 'permanent' | 'static' | 'dynamic';
  /** Index of the bridge, for entries of a bridge. */
  readonly bridge: number | undefined;
  readonly externallyLearned: boolean;
}

/** Adds the entry or puts it in place of what is known for the address. */
export function replaceNeighbour(neighbour: NewNeighbour): Request {
  return neighbourRequest('RTM_NEWNEIGH', RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, neighbour);
}

/** Fails with EEXIST when the address is known. */
export function addNeighbour(neighbour: NewNeighbour): Request {
  return neighbourRequest('RTM_NEWNEIGH', RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, neighbour);
}

/** Fails with ENOENT when there is none. */
export function deleteNeighbour(neighbour: Pick<NewNeighbour, 'link' | 'address' | 'proxy'>): Request {
  return neighbourRequest('RTM_DELNEIGH', RTM_DELNEIGH, 0, neighbour);
}

/** Adds the entry, or gives the one that is there these values. */
export function replaceFdbEntry(entry: NewFdbEntry): Request {
  return fdbRequest('RTM_NEWNEIGH', RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, entry);
}

/** Adds one more destination for the address: only VXLAN, only all zeros or a multicast address. Twice is the same. */
export function appendFdbEntry(entry: NewFdbEntry): Request {
  return fdbRequest('RTM_NEWNEIGH', RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND, entry);
}

/** Fails with EEXIST when the address is known. */
export function addFdbEntry(entry: NewFdbEntry): Request {
  return fdbRequest('RTM_NEWNEIGH', RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL, entry);
}

/** Fails with ENOENT when there is none. */
export function deleteFdbEntry(entry: NewFdbEntry): Request {
  return fdbRequest('RTM_DELNEIGH', RTM_DELNEIGH, 0, entry);
}

function neighbourRequest(call: string, type: number, flags: number, neighbour: NewNeighbour): Request {
  const address = ipBytes(neighbour.address);
  return {
    call,
    describe: () =>
      `${neighbour.proxy ? 'proxy ' : ''}${neighbour.address} mac=${neighbour.mac ?? '-'} link=${neighbour.link}`,
    type,
    flags,
    write: (writer) => {
      const flagBits =
        (neighbour.proxy ? NTF_PROXY : 0) |
        (neighbour.router ? NTF_ROUTER : 0) |
        (neighbour.externallyLearned ? NTF_EXT_LEARNED : 0);
      writeHeader(writer, ipFamily(address), neighbour.link, stateNumbers[neighbour.state ?? 'permanent'], flagBits);
      writer.attribute(NDA_DST, address);
      if (neighbour.mac !== undefined) writer.attribute(NDA_LLADDR, macBytes(neighbour.mac));
    },
  };
}

function fdbRequest(call: string, type: number, flags: number, entry: NewFdbEntry): Request {
  const destination = entry.destination === undefined ? undefined : ipBytes(entry.destination);
  return {
    call,
    describe: () =>
      `fdb ${entry.mac} link=${entry.link} ${entry.table}${entry.destination ? ` dst=${entry.destination}` : ''}`,
    type,
    flags,
    write: (writer) => {
      const flagBits =
        (entry.table === 'self' ? NTF_SELF : NTF_MASTER) |
        (entry.sticky ? NTF_STICKY : 0) |
        (entry.externallyLearned ? NTF_EXT_LEARNED : 0);
      writeHeader(writer, AF_BRIDGE, entry.link, lifetimeState(entry), flagBits);
      writer.attribute(NDA_LLADDR, macBytes(entry.mac));
      if (destination !== undefined) writer.attribute(NDA_DST, destination);
      if (entry.vlan !== undefined) writer.attributeU16(NDA_VLAN, entry.vlan);
      if (entry.port !== undefined) writer.attributeU16be(NDA_PORT, entry.port);
      if (entry.vni !== undefined) writer.attributeU32(NDA_VNI, entry.vni);
      if (entry.outLink !== undefined) writer.attributeU32(NDA_IFINDEX, entry.outLink);
    },
  };
}

/** As bridge(8) does. A VXLAN ages entries that have neither NUD_PERMANENT nor NUD_NOARP, and wants NUD_REACHABLE beside the latter. */
function lifetimeState({ lifetime = 'static' }: NewFdbEntry): number {
  if (lifetime === 'permanent') return stateNumbers.permanent;
  return lifetime === 'static' ? stateNumbers.noarp | stateNumbers.reachable : stateNumbers.reachable;
}

/** struct ndmsg */
function writeHeader(writer: MessageWriter, family: number, link: number, state: number, flags: number): void {
  writer.u8(family);
  writer.skip(3);
  writer.u32(link);
  writer.u16(state);
  writer.u8(flags);
  writer.u8(0);
}

export interface NeighbourFilter {
  readonly link?: number;
  readonly family?: 4 | 6;
  /** The proxy entries, which are listed apart. */
  readonly proxy?: boolean;
}

export function listNeighbours(
  socket: NetlinkSocket,
  { link, family, proxy = false }: NeighbourFilter = {},
): Neighbour[] {
  const answers = socket.dump({
    call: 'RTM_GETNEIGH',
    describe: () => `dump link=${link ?? 'all'}`,
    type: RTM_GETNEIGH,
    flags: 0,
    write: (writer) => {
      writeHeader(writer, family === undefined ? 0 : family === 4 ? AF_INET : AF_INET6, 0, 0, proxy ? NTF_PROXY : 0);
      if (link !== undefined) writer.attributeU32(NDA_IFINDEX, link);
    },
  });
  return answers
    .map(({ body }) => readNeighbour(body))
    .filter((entry): entry is Neighbour => entry !== undefined)
    .filter((entry) => (link ?? entry.link) === entry.link && entry.proxy === proxy);
}

export interface FdbFilter {
  /** Index of the port, or of the VXLAN. */
  readonly link?: number;
  /** Index of the bridge: the entries of all its ports. */
  readonly bridge?: number;
}

export function listFdb(socket: NetlinkSocket, { link, bridge }: FdbFilter = {}): FdbEntry[] {
  const answers = socket.dump({
    call: 'RTM_GETNEIGH',
    describe: () => `fdb dump link=${link ?? 'all'}`,
    type: RTM_GETNEIGH,
    flags: 0,
    write: (writer) => {
      writeHeader(writer, AF_BRIDGE, link ?? 0, 0, 0);
      if (bridge !== undefined) writer.attributeU32(NDA_MASTER, bridge);
    },
  });
  return answers
    .map(({ body }) => readFdbEntry(body))
    .filter((entry) => (link ?? entry.link) === entry.link && (bridge === undefined || entry.bridge === bridge));
}

/** Whether the body of RTM_NEWNEIGH or RTM_DELNEIGH is about a forwarding table. */
export function isFdb(body: Buffer): boolean {
  return body.readUInt8(0) === AF_BRIDGE;
}

/** undefined for the families that are neither IPv4 nor IPv6. */
export function readNeighbour(body: Buffer): Neighbour | undefined {
  const { found, family, link, state, flags } = readHeader(body);
  const address = found.get(NDA_DST);
  if (!address || (family !== AF_INET && family !== AF_INET6)) return undefined;
  const mac = found.get(NDA_LLADDR);
  return {
    link,
    family: family === AF_INET6 ? 6 : 4,
    address: ipText(address),
    mac: mac && macText(mac),
    state: stateWord(state),
    proxy: (flags & NTF_PROXY) !== 0,
    router: (flags & NTF_ROUTER) !== 0,
    externallyLearned: (flags & NTF_EXT_LEARNED) !== 0,
  };
}

export function readFdbEntry(body: Buffer): FdbEntry {
  const { found, link, state, flags } = readHeader(body);
  const destination = found.get(NDA_DST);
  const vni = found.get(NDA_VNI)?.readUInt32LE();
  const port = found.get(NDA_PORT)?.readUInt16BE();
  const vlan = found.get(NDA_VLAN)?.readUInt16LE();
  const outLink = found.get(NDA_IFINDEX)?.readUInt32LE();
  return {
    link,
    mac: macText(found.get(NDA_LLADDR) ?? Buffer.alloc(6)),
    table: flags & NTF_SELF ? 'self' : 'master',
    lifetime: state & stateNumbers.permanent ? 'permanent' : state & stateNumbers.noarp ? 'static' : 'dynamic',
    bridge: found.get(NDA_MASTER)?.readUInt32LE(),
    externallyLearned: (flags & NTF_EXT_LEARNED) !== 0,
    ...(destination && { destination: ipText(destination) }),
    ...(vni !== undefined && { vni }),
    ...(port !== undefined && { port }),
    ...(vlan !== undefined && { vlan }),
    ...(outLink !== undefined && { outLink }),
  };
}

function readHeader(body: Buffer) {
  if (body.length < ndmsgSize) throw new NetlinkFormatError('RTM_NEWNEIGH without its header');
  return {
    found: readAttributes(body, ndmsgSize),
    family: body.readUInt8(0),
    link: body.readUInt32LE(4),
    state: body.readUInt16LE(8),
    flags: body.readUInt8(10),
  };
}

function stateWord(number: number): NeighbourState {
  for (const [word, value] of Object.entries(stateNumbers)) if (value === number) return word as NeighbourState;
  return 'none';
}
