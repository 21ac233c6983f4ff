/**
 * Datagrams by the batch: recvmmsg(2) and sendmmsg(2) on a non-blocking UDP socket that the event loop watches, so that one
 * wake-up costs one system call in and one out, however many queries came. A socket belongs to the namespace that it was opened in
 * (see netns.ts), and is served from there by this process.
 *
 *     arena   slots ─┬─ received bytes, peer address      (overwritten by the next receive)
 *                    └─ reply bytes, addressed to the peer of the slot that it answers
 *
 * One arena serves any number of sockets: everything between receive and flush is synchronous. It does not know what is in a
 * datagram, and keeps nothing over an await: copy what you need later.
 */
import koffi from 'koffi';
import {
  AF_INET,
  AF_INET6,
  check,
  closeFd,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  lastErrno,
  libc,
  MSG_DONTWAIT,
  MSG_TRUNC,
  SO_BINDTODEVICE,
  SO_RCVBUF,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  watchReadable,
} from './syscall.ts';

// Headers go as addresses, which are numbers below 2^47: turning a Buffer into a pointer at each call costs more than the rest of it.
const library = koffi.load('libc.so.6');
const recvmmsg = library.func('int recvmmsg(int, uintptr_t, uint, int, uintptr_t)') as unknown as (
  fd: number,
  headers: number,
  count: number,
  flags: number,
  timeout: 0,
) => number;
const sendmmsg = library.func('int sendmmsg(int, uintptr_t, uint, int)') as unknown as (
  fd: number,
  headers: number,
  count: number,
  flags: number,
) => number;

/** <bits/socket.h>: struct mmsghdr is a 56-byte msghdr, the length, and padding. <netinet/in.h>: sockaddr_in6 has 28 bytes. */
const headerSize = 64;
const iovecSize = 16;
const sockaddrSize = 32;
const sockaddrIn = 16;
const sockaddrIn6 = 28;

// <linux/in.h>, <linux/in6.h>, <asm-generic/socket.h>
const IP_FREEBIND = 15;
const IPV6_FREEBIND = 78;
const SO_MARK = 36;
const EAGAIN = 11;

export interface UdpOptions {
  /** Network byte order, 4 or 16 bytes; absent: any address of IPv4. */
  readonly address?: Uint8Array;
  readonly port: number;
  /** Only what comes in over this interface, and out over it (SO_BINDTODEVICE). */
  readonly device?: string;
  /** SO_MARK of what is sent. */
  readonly mark?: number;
  /** Share the port with a socket of another program that allows it too (SO_REUSEADDR). */
  readonly reuseAddress?: boolean;
  /** Bind to an address that no interface has yet. */
  readonly freebind?: boolean;
  readonly receiveBufferBytes?: number;
  /** Connect, so that only this peer is heard and errors of the path are told. */
  readonly connectTo?: { readonly address: Uint8Array; readonly port: number; readonly scopeId?: number };
}

function intOption(fd: number, level: number, name: number, value: number, what: string): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  check(libc.setsockopt(fd, level, name, bytes, 4), 'setsockopt', `${what}=${value}`);
}

/** struct sockaddr_in or sockaddr_in6 of an address of 4 or 16 bytes. */
export function sockaddr(address: Uint8Array, port: number, scopeId = 0): Buffer {
  const v6 = address.length === 16;
  const bytes = Buffer.alloc(v6 ? sockaddrIn6 : sockaddrIn);
  bytes.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address, v6 ? 8 : 4);
  if (v6) bytes.writeUInt32LE(scopeId, 24);
  return bytes;
}

/** A non-blocking UDP socket of the calling thread's namespace. The caller closes it with closeFd. Throws KernelError. */
export function openUdp(options: UdpOptions): number {
  const address = options.address ?? options.connectTo?.address ?? new Uint8Array(4);
  const bindTo = options.address ?? new Uint8Array(address.length);
  const v6 = address.length === 16;
  const fd = check(
    libc.socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
    'socket',
    v6 ? 'udp6' : 'udp4',
  );
  try {
    if (v6) intOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, 'IPV6_V6ONLY');
    if (options.reuseAddress === true) intOption(fd, SOL_SOCKET, SO_REUSEADDR, 1, 'SO_REUSEADDR');
    if (options.freebind === true) {
      intOption(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, 1, 'FREEBIND');
    }
    if (options.mark !== undefined) intOption(fd, SOL_SOCKET, SO_MARK, options.mark, 'SO_MARK');
    if (options.receiveBufferBytes !== undefined) {
      intOption(fd, SOL_SOCKET, SO_RCVBUF, options.receiveBufferBytes, 'SO_RCVBUF');
    }
    if (options.device !== undefined) {
      const name = Buffer.from(`${options.device}\0`);
      check(
        libc.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length),
        'setsockopt',
        `SO_BINDTODEVICE=${options.device}`,
      );
    }
    const local = sockaddr(bindTo, options.port);
    check(libc.bind(fd, local, local.length), 'bind', `udp port ${options.port}`);
    if (options.connectTo !== undefined) {
      const peer = sockaddr(options.connectTo.address, options.connectTo.port, options.connectTo.scopeId);
      check(libc.connect(fd, peer, peer.length), 'connect', `udp port ${options.connectTo.port}`);
    }
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** The port that a socket is bound to: for port 0, the one that the kernel chose. */
export function boundPort(fd: number): number {
  const address = Buffer.alloc(sockaddrIn6);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(sockaddrIn6);
  check(libc.getsockname(fd, address, length), 'getsockname', `fd=${fd}`);
  return address.readUInt16BE(2);
}

/** Sends one datagram to a peer, or over a connected socket. False when the kernel had no room or no way. */
export function sendDatagram(fd: number, data: Uint8Array, peer: Uint8Array | null): boolean {
  return libc.sendto(fd, data, data.length, MSG_DONTWAIT, peer, peer?.length ?? 0) >= 0;
}

class Headers {
  /** Where they are in memory. */
  readonly address: number;
  readonly words: Uint32Array;
  readonly pointers: BigUint64Array;
  readonly vectors: Buffer;
  readonly vectorWords: Uint32Array;

  constructor(slots: number, data: Buffer, size: number, addresses: Buffer) {
    const bytes = Buffer.alloc(slots * headerSize);
    this.address = Number(koffi.address(bytes));
    this.vectors = Buffer.alloc(slots * iovecSize);
    this.words = new Uint32Array(bytes.buffer, bytes.byteOffset, slots * (headerSize / 4));
    this.pointers = new BigUint64Array(bytes.buffer, bytes.byteOffset, slots * (headerSize / 8));
    this.vectorWords = new Uint32Array(this.vectors.buffer, this.vectors.byteOffset, slots * (iovecSize / 4));
    const [dataAt, addressAt, vectorAt] = [data, addresses, this.vectors].map((buffer) =>
      BigInt(koffi.address(buffer)),
    );
    for (let i = 0; i < slots; i++) {
      const at = i * headerSize;
      bytes.writeBigUInt64LE(addressAt! + BigInt(i * sockaddrSize), at);
      bytes.writeUInt32LE(sockaddrIn6, at + 8);
      bytes.writeBigUInt64LE(vectorAt! + BigInt(i * iovecSize), at + 16);
      bytes.writeBigUInt64LE(1n, at + 24);
      this.vectors.writeBigUInt64LE(dataAt! + BigInt(i * size), i * iovecSize);
      this.vectors.writeBigUInt64LE(BigInt(size), i * iovecSize + 8);
    }
  }
}

export class DatagramArena {
  readonly slots: number;
  /** Received bytes: slot i begins at i * slotSize. */
  readonly received: Buffer;
  /** Reply bytes: the next reply is written at replyOffset. */
  readonly replies: Buffer;
  readonly slotSize: number;
  readonly #peers: Buffer;
  readonly #in: Headers;
  readonly #out: Headers;
  readonly #namePointers: BigUint64Array;
  #pending = 0;

  /** `slots` datagrams at a time, each of up to `slotSize` bytes; longer ones are told as truncated. */
  constructor(slots = 64, slotSize = 1536) {
    this.slots = slots;
    this.slotSize = slotSize;
    this.received = Buffer.alloc(slots * slotSize);
    this.replies = Buffer.alloc(slots * slotSize);
    this.#peers = Buffer.alloc(slots * sockaddrSize);
    this.#in = new Headers(slots, this.received, slotSize, this.#peers);
    this.#out = new Headers(slots, this.replies, slotSize, this.#peers);
    this.#namePointers = new BigUint64Array(slots);
    for (let i = 0; i < slots; i++) this.#namePointers[i] = this.#in.pointers[(i * headerSize) / 8]!;
  }

  /** Takes what has arrived; returns how many datagrams, 0 when there are none (or the socket reported an error of its path). */
  receive(fd: number): number {
    const { words } = this.#in;
    const count = recvmmsg(fd, this.#in.address, this.slots, MSG_DONTWAIT, 0);
    if (count <= 0) return 0;
    for (let i = 0; i < count; i++) {
      // The kernel wrote the real length of the address there; it must hold the room again next time.
      this.#out.words[i * 16 + 2] = words[i * 16 + 2]!;
      words[i * 16 + 2] = sockaddrIn6;
    }
    return count;
  }

  /** Bytes received in a slot. */
  lengthOf(slot: number): number {
    return this.#in.words[slot * 16 + 14]!;
  }

  isTruncated(slot: number): boolean {
    return (this.#in.words[slot * 16 + 12]! & MSG_TRUNC) !== 0;
  }

  /** The peer of a slot as a number: IPv4 whole, IPv6 folded. For counting, not for proof. */
  peerHash(slot: number): number {
    const at = slot * sockaddrSize;
    const bytes = this.#peers;
    if (bytes[at] === AF_INET)
      return ((bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!) >>> 0;
    let hash = 0;
    for (let i = 8; i < 24; i++) hash = Math.imul(hash ^ bytes[at + i]!, 0x01000193);
    return hash >>> 0;
  }

  /** A copy of the peer's sockaddr, for a reply that comes later. */
  copyPeer(slot: number): Uint8Array {
    const at = slot * sockaddrSize;
    const length = this.#peers[at] === AF_INET6 ? sockaddrIn6 : sockaddrIn;
    const copy = new Uint8Array(length);
    for (let i = 0; i < length; i++) copy[i] = this.#peers[at + i]!;
    return copy;
  }

  get replyOffset(): number {
    return this.#pending * this.slotSize;
  }

  /** The bytes at replyOffset answer the datagram of `slot`; flush sends them. */
  reply(slot: number, length: number): void {
    const { words, pointers, vectorWords } = this.#out;
    const index = this.#pending++;
    pointers[(index * headerSize) / 8] = this.#namePointers[slot]!;
    // The peer's address length was noted at the slot; replies only move forward, so it is not overwritten before it is read.
    words[index * 16 + 2] = words[slot * 16 + 2]!;
    vectorWords[index * 4 + 2] = length;
  }

  /** Sends the replies; returns how many the kernel took. What it refuses (buffer full, peer unreachable) is lost, as UDP may. */
  flush(fd: number): number {
    const total = this.#pending;
    this.#pending = 0;
    return sendAll(fd, this.#out.address, total);
  }
}

function sendAll(fd: number, headers: number, total: number): number {
  let sent = 0;
  let at = 0;
  while (at < total) {
    const count = sendmmsg(fd, headers + at * headerSize, total - at, MSG_DONTWAIT);
    if (count > 0) {
      at += count;
      sent += count;
    } else if (lastErrno() === EAGAIN) {
      break;
    } else {
      // sendmmsg stops at the first message that fails: leave that one out.
      at += 1;
    }
  }
  return sent;
}

/**
 * Datagrams that leave while one event is handled, sent together when it is over (in a microtask): one system call for each run of
 * datagrams over the same socket. Close a socket only after `flush`.
 */
export class Outbox {
  readonly #slotSize: number;
  readonly #slots: number;
  readonly #data: Buffer;
  readonly #peers: Buffer;
  readonly #headers: Headers;
  readonly #flushLater = (): void => this.flush();
  #fd = -1;
  #pending = 0;

  constructor(slots = 64, slotSize = 1536) {
    this.#slots = slots;
    this.#slotSize = slotSize;
    this.#data = Buffer.alloc(slots * slotSize);
    this.#peers = Buffer.alloc(slots * sockaddrSize);
    this.#headers = new Headers(slots, this.#data, slotSize, this.#peers);
  }

  /** Whether nothing waits to be sent. */
  get isEmpty(): boolean {
    return this.#pending === 0;
  }

  /** Takes a copy of `data`'s first `length` bytes, for a peer (a sockaddr) or over a connected socket. */
  push(fd: number, data: Uint8Array, length: number, peer: Uint8Array | null): void {
    if (this.#pending > 0 && (fd !== this.#fd || this.#pending === this.#slots)) this.flush();
    if (length > this.#slotSize) {
      sendDatagram(fd, data.subarray(0, length), peer);
      return;
    }
    if (this.#pending === 0) queueMicrotask(this.#flushLater);
    this.#fd = fd;
    const index = this.#pending++;
    const at = index * this.#slotSize;
    for (let i = 0; i < length; i++) this.#data[at + i] = data[i]!;
    this.#headers.vectorWords[index * 4 + 2] = length;
    // A length of 0 means no address, wherever the pointer leads.
    const peerLength = peer === null ? 0 : peer.length;
    this.#headers.words[index * 16 + 2] = peerLength;
    for (let i = 0; i < peerLength; i++) this.#peers[index * sockaddrSize + i] = peer![i]!;
  }

  flush(): void {
    const total = this.#pending;
    this.#pending = 0;
    if (total > 0) sendAll(this.#fd, this.#headers.address, total);
  }
}

export interface PeerAddress {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** What a copied sockaddr says. */
export function readSockaddr(bytes: Uint8Array): PeerAddress {
  const v6 = bytes[0] === AF_INET6;
  return { address: bytes.slice(v6 ? 8 : 4, v6 ? 24 : 8), port: (bytes[2]! << 8) | bytes[3]! };
}

/** Calls back whenever the socket can be read, until closed; closing closes the socket too. */
export function serveDatagrams(fd: number, onReadable: () => void): { close(): void } {
  const watch = watchReadable(fd, onReadable);
  let open = true;
  return {
    close() {
      if (!open) return;
      open = false;
      watch.close();
      closeFd(fd);
    },
  };
}
