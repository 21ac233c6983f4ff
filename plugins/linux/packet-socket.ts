/**
 * Packets of one link below IP, packet(7): what DHCP needs before there is an address, and what finds duplicate addresses.
 * Datagram mode: the kernel writes and takes off the Ethernet header.
 */
import { macBytes } from './netlink/address-bytes.ts';
import { inNetns, type Netns } from './netns.ts';
import { attachFilter, type PacketFilter } from './packet-filter.ts';
import {
  AF_PACKET,
  check,
  closeFd,
  libc,
  MSG_DONTWAIT,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  watchReadable,
} from './syscall.ts';

/** <linux/if_ether.h> */
export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_IPV6 = 0x86dd;

const packetsPerTurn = 64;

export interface PacketSocketOptions {
  readonly netns?: Netns;
  /** Index of the link. */
  readonly link: number;
  /** Only packets of this ETH_P_ protocol. */
  readonly protocol: number;
  /** Only packets that it lets through; default all. */
  readonly filter?: PacketFilter;
  /** The view is valid during the call only. */
  readonly onPacket: (packet: Buffer) => void;
}

/** Receives until it is closed. */
export class PacketSocket {
  readonly #fd: number;
  readonly #options: PacketSocketOptions;
  readonly #watch: { close(): void };
  readonly #into = Buffer.allocUnsafe(65536);
  #open = true;

  constructor(options: PacketSocketOptions) {
    this.#options = options;
    this.#fd = options.netns ? inNetns(options.netns, () => openPacketSocket(options)) : openPacketSocket(options);
    this.#watch = watchReadable(this.#fd, () => this.#drain());
  }

  /** To a MAC address; `ff:ff:ff:ff:ff:ff` for everybody. Throws ENETDOWN while the link is down. */
  send(mac: string, payload: Uint8Array): void {
    const address = linkAddress(this.#options, macBytes(mac));
    check(libc.sendto(this.#fd, payload, payload.length, 0, address, address.length), 'sendto', `packet to ${mac}`);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch.close();
    closeFd(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #drain(): void {
    for (let count = 0; count < packetsPerTurn && this.#open; count++) {
      const size = libc.recv(this.#fd, this.#into, this.#into.length, MSG_DONTWAIT);
      // Empty, or the link went down: whoever waits for an answer has a deadline.
      if (size < 0) return;
      this.#options.onPacket(this.#into.subarray(0, size));
    }
  }
}

function openPacketSocket(options: PacketSocketOptions): number {
  // Protocol 0 until it is bound, so that nothing of other links arrives in between.
  const fd = check(libc.socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket', 'AF_PACKET');
  try {
    if (options.filter) attachFilter(fd, options.filter);
    const address = linkAddress(options, Buffer.alloc(0));
    check(libc.bind(fd, address, address.length), 'bind', `AF_PACKET link=${options.link}`);
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** struct sockaddr_ll */
function linkAddress({ link, protocol }: PacketSocketOptions, mac: Uint8Array): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt16LE(AF_PACKET, 0);
  bytes.writeUInt16BE(protocol, 2);
  bytes.writeInt32LE(link, 4);
  bytes.writeUInt8(mac.length, 11);
  bytes.set(mac, 12);
  return bytes;
}
