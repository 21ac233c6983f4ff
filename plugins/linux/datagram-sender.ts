/**
 * A connected datagram socket, UDP or unix: many datagrams in one system call, and the kernel's refusals (nobody listens, queue
 * full) heard at once. Node has no unix datagram sockets, and hears of UDP refusals only as events.
 */
import koffi from 'koffi';
import { sockaddr } from './datagram.ts';
import { KernelError } from './errors.ts';
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  check,
  closeFd,
  lastErrno,
  libc,
  MSG_DONTWAIT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
} from './syscall.ts';

const library = koffi.load('libc.so.6');
const sendmmsg = library.func('int sendmmsg(int, const void *, uint, int)') as unknown as (
  fd: number,
  headers: Uint8Array,
  count: number,
  flags: number,
) => number;

// <bits/socket.h>: struct mmsghdr holds a msghdr of 56 bytes, the length sent, and padding.
const headerBytes = 64;
const vectorBytes = 16;
const batchSize = 64;
const EAGAIN = 11;
const ENOBUFS = 105;
const sunPathBytes = 108;

/** Shared: filled and used within one call. */
const headers = Buffer.alloc(batchSize * headerBytes);
const vectors = Buffer.alloc(batchSize * vectorBytes);
for (let index = 0; index < batchSize; index++) {
  headers.writeBigUInt64LE(BigInt(koffi.address(vectors)) + BigInt(index * vectorBytes), index * headerBytes + 16);
  headers.writeBigUInt64LE(1n, index * headerBytes + 24);
}

export type DatagramPeer =
  | { readonly kind: 'unix'; readonly path: string }
  /** 4 or 16 bytes. */
  | { readonly kind: 'udp'; readonly address: Uint8Array; readonly port: number };

export class DatagramSender {
  readonly #fd: number;
  #open = true;

  /** Throws KernelError: ENOENT or ECONNREFUSED when no unix socket is there. */
  constructor(peer: DatagramPeer) {
    const address = peer.kind === 'unix' ? unixAddress(peer.path) : sockaddr(peer.address, peer.port);
    const family = peer.kind === 'unix' ? AF_UNIX : peer.address.length === 16 ? AF_INET6 : AF_INET;
    this.#fd = check(libc.socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 'socket', peer.kind);
    try {
      check(libc.connect(this.#fd, address, address.length), 'connect', peer.kind === 'unix' ? peer.path : 'udp');
    } catch (error) {
      closeFd(this.#fd);
      throw error;
    }
  }

  /**
   * Sends datagrams [ends[i-1], ends[i]) of the buffer, from number `first` on. Returns how many the kernel took; fewer than
   * asked when its queue is full. Throws KernelError for everything else, ECONNREFUSED for an earlier datagram too.
   */
  send(buffer: Buffer, ends: readonly number[], first: number): number {
    const base = BigInt(koffi.address(buffer));
    let sent = first;
    while (sent < ends.length) {
      const count = Math.min(batchSize, ends.length - sent);
      for (let index = 0; index < count; index++) {
        const start = ends[sent + index - 1] ?? 0;
        vectors.writeBigUInt64LE(base + BigInt(start), index * vectorBytes);
        vectors.writeBigUInt64LE(BigInt(ends[sent + index]! - start), index * vectorBytes + 8);
      }
      const taken = sendmmsg(this.#fd, headers, count, MSG_DONTWAIT);
      if (taken < 0) {
        const errno = lastErrno();
        // After progress the caller hears of the rest's failure at its next call.
        if (errno === EAGAIN || errno === ENOBUFS || sent > first) break;
        throw new KernelError({ errno, call: 'sendmmsg' });
      }
      sent += taken;
    }
    return sent - first;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeFd(this.#fd);
  }
}

function unixAddress(path: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length >= sunPathBytes) throw new KernelError({ errno: 36, call: 'connect', args: path });
  const address = Buffer.alloc(2 + bytes.length + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}
