/**
 * Elements of sets and maps by raw nfnetlink, <linux/netfilter/nf_tables.h>: 10 to 30 us for a change, whatever the size of
 * the map, and any number of changes in one transaction. For everything else there is `context.ts`; the two cannot share a
 * transaction, so rules and first elements that belong together go through the text of nft(8).
 *
 * Keys and data are the bytes that the kernel compares: each part of a concatenation in network order, filled up to 4 bytes.
 * `concat(protocolKey(17), portKey(53))` is `udp . 53` for a map of type `inet_proto . inet_service`.
 */
import { KernelError } from '../errors.ts';
import {
  align4,
  listAttributes,
  type Message,
  MessageWriter,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  NLMSG_ERROR,
  readAcknowledgement,
  readAttributes,
} from '../netlink/message.ts';
import { NFNL_SUBSYS_NFTABLES, netfilterType, nfgenmsgSize, writeNetfilterHeader } from '../netlink/netfilter.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from '../netlink/socket.ts';
import type { Netns } from '../netns.ts';
import { check, libc, SO_RCVBUFFORCE, SO_SNDBUFFORCE, SOL_SOCKET } from '../syscall.ts';

const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_GETSETELEM = 13;
const NFT_MSG_DELSETELEM = 14;
const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_LIST_ELEM = 1;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFTA_SET_ELEM_FLAGS = 3;
const NFTA_SET_ELEM_KEY_END = 10;
const NFTA_DATA_VALUE = 1;
const NFT_SET_ELEM_INTERVAL_END = 1;
/** Elements in one message; an attribute holds 64 KiB at most, and an element takes up to about 100 bytes. */
const elementsPerMessage = 400;
/** A whole transaction is one datagram: 10 000 elements are half a megabyte. */
const bufferBytes = 16 * 1024 * 1024;

/** <linux/netfilter.h> NFPROTO_* */
const families = { inet: 1, ip: 2, ip6: 10, bridge: 7, netdev: 5 } as const;

export type NftFamily = keyof typeof families;

export interface NftSet {
  readonly family: NftFamily;
  readonly table: string;
  readonly name: string;
}

export interface NftElement {
  readonly key: Uint8Array;
  /** Sets of concatenated ranges: the last key of the range. */
  readonly keyEnd?: Uint8Array;
  /** Maps: what the key leads to. */
  readonly data?: Uint8Array;
  /** Sets of plain ranges hold two elements for one: its first key, and with this mark the key behind its last. */
  readonly intervalEnd?: boolean;
}

export type NftChange =
  /** Fails with EEXIST when the key is there with other data; with `exclusive` also with the same. */
  | {
      readonly change: 'add';
      readonly set: NftSet;
      readonly elements: readonly NftElement[];
      readonly exclusive?: boolean;
    }
  /** Fails with ENOENT when one is missing. */
  | { readonly change: 'delete'; readonly set: NftSet; readonly elements: readonly NftElement[] };

export function concat(...parts: readonly Uint8Array[]): Buffer {
  const sizes = parts.map((part) => align4(part.length));
  const bytes = Buffer.alloc(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const [index, part] of parts.entries()) {
    bytes.set(part, at);
    at += sizes[index] ?? 0;
  }
  return bytes;
}

/** inet_service */
export function portKey(port: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(port);
  return bytes;
}

/** inet_proto: 6 TCP, 17 UDP, 132 SCTP */
export function protocolKey(protocol: number): Buffer {
  return Buffer.from([protocol]);
}

/** ifname: 16 bytes, the rest zeros. */
export function linkNameKey(name: string): Buffer {
  if (Buffer.byteLength(name) > 15) throw new TypeError(`the name "${name}" is longer than 15 bytes`);
  const bytes = Buffer.alloc(16);
  bytes.write(name);
  return bytes;
}

/** For one namespace. The opener closes it. */
export class NftElements {
  readonly #socket: NetlinkSocket;
  readonly #writer = new MessageWriter();

  constructor(netns?: Netns) {
    this.#socket = new NetlinkSocket(NETLINK_NETFILTER, netns);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(bufferBytes);
    for (const option of [SO_SNDBUFFORCE, SO_RCVBUFFORCE]) {
      check(libc.setsockopt(this.#socket.fd, SOL_SOCKET, option, size, 4), 'setsockopt', `SOL_SOCKET ${option}`);
    }
  }

  /** All changes in one transaction: all of them or none. Throws the KernelError of the first that was refused. */
  apply(...changes: readonly NftChange[]): void {
    const words = new Map<number, NftChange>();
    this.#writer.reset();
    const begin = this.#writeMark(NFNL_MSG_BATCH_BEGIN);
    for (const change of changes) {
      for (let at = 0; at < change.elements.length; at += elementsPerMessage) {
        words.set(this.#writeChange(change, change.elements.slice(at, at + elementsPerMessage)), change);
      }
    }
    this.#writeMark(NFNL_MSG_BATCH_END);
    let missing = words.size;
    if (missing === 0) return;
    let failure: KernelError | undefined;
    this.#socket.exchange('NFT_MSG_*SETELEM', this.#writer.bytes, (message) => {
      if (message.type !== NLMSG_ERROR) return false;
      const change = words.get(message.sequence);
      // A failure of the whole (no permission, commit refused) is reported for the mark at the beginning, and is the last word.
      if (!change && message.sequence !== begin) return false;
      failure ??= changeError(change, message);
      return !change || --missing === 0;
    });
    if (failure) throw failure;
  }

  /** Every element of the set as of one moment. */
  list(set: NftSet): NftElement[] {
    const answers = this.#socket.dump({
      call: 'NFT_MSG_GETSETELEM',
      describe: () => setText(set),
      type: netfilterType(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM),
      flags: 0,
      write: (writer) => {
        writeNetfilterHeader(writer, families[set.family]);
        writer.attributeText(NFTA_SET_ELEM_LIST_TABLE, set.table);
        writer.attributeText(NFTA_SET_ELEM_LIST_SET, set.name);
      },
    });
    return answers.flatMap(({ body }) => {
      const elements = readAttributes(body, nfgenmsgSize).get(NFTA_SET_ELEM_LIST_ELEMENTS);
      return elements ? listAttributes(elements).map(([, element]) => readElement(element)) : [];
    });
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #writeMark(type: number): number {
    const sequence = this.#socket.nextSequence();
    this.#writer.begin(type, NLM_F_REQUEST, sequence);
    writeNetfilterHeader(this.#writer, 0, NFNL_SUBSYS_NFTABLES);
    this.#writer.end();
    return sequence;
  }

  #writeChange(change: NftChange, elements: readonly NftElement[]): number {
    const writer = this.#writer;
    const sequence = this.#socket.nextSequence();
    const adding = change.change === 'add';
    const type = netfilterType(NFNL_SUBSYS_NFTABLES, adding ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM);
    const creating = adding ? NLM_F_CREATE | (change.exclusive ? NLM_F_EXCL : 0) : 0;
    writer.begin(type, NLM_F_REQUEST | NLM_F_ACK | creating, sequence);
    writeNetfilterHeader(writer, families[change.set.family]);
    writer.attributeText(NFTA_SET_ELEM_LIST_TABLE, change.set.table);
    writer.attributeText(NFTA_SET_ELEM_LIST_SET, change.set.name);
    writer.nest(NFTA_SET_ELEM_LIST_ELEMENTS, () => {
      for (const element of elements) writer.nest(NFTA_LIST_ELEM, () => writeElement(writer, element, adding));
    });
    writer.end();
    return sequence;
  }
}

function writeElement(writer: MessageWriter, { key, keyEnd, data, intervalEnd }: NftElement, withData: boolean): void {
  if (intervalEnd) writer.attributeU32be(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
  writer.nest(NFTA_SET_ELEM_KEY, () => writer.attribute(NFTA_DATA_VALUE, key));
  if (keyEnd) writer.nest(NFTA_SET_ELEM_KEY_END, () => writer.attribute(NFTA_DATA_VALUE, keyEnd));
  if (data && withData) writer.nest(NFTA_SET_ELEM_DATA, () => writer.attribute(NFTA_DATA_VALUE, data));
}

function readElement(bytes: Buffer): NftElement {
  const found = readAttributes(bytes);
  const value = (type: number): Buffer | undefined => {
    const nested = found.get(type);
    return nested && readAttributes(nested).get(NFTA_DATA_VALUE);
  };
  const keyEnd = value(NFTA_SET_ELEM_KEY_END);
  const data = value(NFTA_SET_ELEM_DATA);
  const flags = found.get(NFTA_SET_ELEM_FLAGS)?.readUInt32BE() ?? 0;
  return {
    key: value(NFTA_SET_ELEM_KEY) ?? Buffer.alloc(0),
    ...(keyEnd && { keyEnd }),
    ...(data && { data }),
    ...(flags & NFT_SET_ELEM_INTERVAL_END && { intervalEnd: true }),
  };
}

function changeError(change: NftChange | undefined, message: Message): KernelError | undefined {
  const { errno, detail } = readAcknowledgement(message);
  if (errno === 0) return undefined;
  const call = change?.change === 'delete' ? 'NFT_MSG_DELSETELEM' : 'NFT_MSG_NEWSETELEM';
  const args = change ? setText(change.set) : 'transaction';
  return new KernelError({ errno, call, args, ...(detail ? { detail } : {}) });
}

function setText({ family, table, name }: NftSet): string {
  return `${family} ${table} ${name}`;
}
