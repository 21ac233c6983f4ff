/** IP addresses of links, ip-address(8): struct ifaddrmsg and IFA_*, <linux/if_addr.h>. */
import { AF_INET, AF_INET6 } from '../syscall.ts';
import { ipBytes, ipText, parsePrefix } from './address-bytes.ts';
import {
  type MessageWriter,
  NetlinkFormatError,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  readAttributes,
  readText,
} from './message.ts';
import { type Scope, scopeNumbers, scopeWord } from './scope.ts';
import type { NetlinkSocket, Request } from './socket.ts';

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_LABEL = 3;
const IFA_BROADCAST = 4;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const IFA_F_SECONDARY = 1;
const IFA_F_NODAD = 2;
const IFA_F_DADFAILED = 8;
const IFA_F_TENTATIVE = 0x40;
const IFA_F_PERMANENT = 0x80;
const IFA_F_NOPREFIXROUTE = 0x200;
const ifaddrSize = 8;
const forever = 0xffffffff;

export interface NewAddress {
  /** Index of the link. */
  readonly link: number;
  /** With prefix length: `192.0.2.1/24`, `2001:db8::1/64`. */
  readonly address: string;
  /** The other end of a point-to-point link; the prefix length is then its. */
  readonly peer?: string;
  readonly broadcast?: string;
  readonly label?: string;
  readonly scope?: Scope;
  /** IPv6: usable at once, without looking for a duplicate (RFC 4862). */
  readonly noDad?: boolean;
  /** Without the route to the prefix. */
  readonly noPrefixRoute?: boolean;
  /** Seconds; for ever when left out. */
  readonly validSeconds?: number;
  readonly preferredSeconds?: number;
}

export interface Address {
  readonly link: number;
  readonly family: 4 | 6;
  /** Without prefix length. */
  readonly address: string;
  readonly prefixLength: number;
  readonly peer: string | undefined;
  readonly broadcast: string | undefined;
  readonly label: string | undefined;
  readonly scope: Scope;
  readonly permanent: boolean;
  /** IPv6: still being looked for as a duplicate. */
  readonly tentative: boolean;
  readonly dadFailed: boolean;
  readonly secondary: boolean;
}

/** Fails with EEXIST when the link has it already. */
export function addAddress(address: NewAddress): Request {
  return addressRequest('RTM_NEWADDR', RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address);
}

/** Adds it, or gives the one that is there these lifetimes and flags. */
export function replaceAddress(address: NewAddress): Request {
  return addressRequest('RTM_NEWADDR', RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address);
}

/** Fails with EADDRNOTAVAIL when the link has it not. */
export function deleteAddress(address: Pick<NewAddress, 'link' | 'address' | 'peer'>): Request {
  return addressRequest('RTM_DELADDR', RTM_DELADDR, 0, address);
}

function addressRequest(call: string, type: number, flags: number, address: NewAddress): Request {
  const { family, bytes, length } = parsePrefix(address.address);
  return {
    call,
    describe: () => `${address.address}${address.peer ? ` peer ${address.peer}` : ''} link=${address.link}`,
    type,
    flags,
    write: (writer) => {
      writer.u8(family);
      writer.u8(length);
      writer.u8(0);
      writer.u8(scopeNumbers[address.scope ?? 'global']);
      writer.u32(address.link);
      writer.attribute(IFA_LOCAL, bytes);
      writer.attribute(IFA_ADDRESS, address.peer === undefined ? bytes : ipBytes(address.peer));
      writeExtras(writer, address);
    },
  };
}

function writeExtras(writer: MessageWriter, address: NewAddress): void {
  if (address.broadcast !== undefined) writer.attribute(IFA_BROADCAST, ipBytes(address.broadcast));
  if (address.label !== undefined) writer.attributeText(IFA_LABEL, address.label);
  const flags = (address.noDad ? IFA_F_NODAD : 0) | (address.noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0);
  if (flags !== 0) writer.attributeU32(IFA_FLAGS, flags);
  if (address.validSeconds === undefined && address.preferredSeconds === undefined) return;
  // struct ifa_cacheinfo: preferred, valid, created, updated
  const times = Buffer.alloc(16);
  const valid = address.validSeconds ?? forever;
  times.writeUInt32LE(address.preferredSeconds ?? valid, 0);
  times.writeUInt32LE(valid, 4);
  writer.attribute(IFA_CACHEINFO, times);
}

export interface AddressFilter {
  readonly link?: number;
  readonly family?: 4 | 6;
}

export function listAddresses(socket: NetlinkSocket, { link, family }: AddressFilter = {}): Address[] {
  const answers = socket.dump({
    call: 'RTM_GETADDR',
    describe: () => `dump link=${link ?? 'all'}`,
    type: RTM_GETADDR,
    flags: 0,
    write: (writer) => {
      writer.u8(family === undefined ? 0 : family === 4 ? AF_INET : AF_INET6);
      writer.skip(3);
      writer.u32(link ?? 0);
    },
  });
  return answers.map(({ body }) => readAddress(body)).filter((address) => (link ?? address.link) === address.link);
}

/** Reads the body of RTM_NEWADDR or RTM_DELADDR. */
export function readAddress(body: Buffer): Address {
  if (body.length < ifaddrSize) throw new NetlinkFormatError('RTM_NEWADDR without its header');
  const found = readAttributes(body, ifaddrSize);
  const flags = found.get(IFA_FLAGS)?.readUInt32LE() ?? body.readUInt8(2);
  const remote = found.get(IFA_ADDRESS);
  const local = found.get(IFA_LOCAL) ?? remote;
  if (!local) throw new NetlinkFormatError('RTM_NEWADDR without an address');
  const broadcast = found.get(IFA_BROADCAST);
  const label = found.get(IFA_LABEL);
  return {
    link: body.readUInt32LE(4),
    family: body.readUInt8(0) === AF_INET6 ? 6 : 4,
    address: ipText(local),
    prefixLength: body.readUInt8(1),
    peer: remote && !remote.equals(local) ? ipText(remote) : undefined,
    broadcast: broadcast && ipText(broadcast),
    label: label && readText(label),
    scope: scopeWord(body.readUInt8(3)),
    permanent: (flags & IFA_F_PERMANENT) !== 0,
    tentative: (flags & IFA_F_TENTATIVE) !== 0,
    dadFailed: (flags & IFA_F_DADFAILED) !== 0,
    secondary: (flags & IFA_F_SECONDARY) !== 0,
  };
}
