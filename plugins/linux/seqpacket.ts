/**
 * A sequenced-packet unix socket on the event loop: `net.Socket` refuses the type, so packets are received here when the
 * descriptor becomes readable. Each packet comes whole, as it was sent. unix(7), SOCK_SEQPACKET.
 */
import koffi from 'koffi';
import { KernelError } from './errors.ts';
import { check, lastErrno, libc } from './syscall.ts';

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5; // <bits/socket_type.h>
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const MSG_NOSIGNAL = 0x4000;
const EAGAIN = 11;
const sunPathBytes = 108; // <sys/un.h>
const maxPacketBytes = 1 << 16;
/** Packets taken in one turn of the event loop, so that a loud peer cannot starve the others. */
const packetsPerTurn = 64;
/** More than a socket's buffer holds. */
const packetsWaiting = 1024;

export interface SeqpacketHandlers {
  onPacket(packet: Buffer): void;
  /** The peer has closed, or the socket failed. Called once. */
  onEnd(): void;
}

export class SeqpacketSocket {
  readonly #fd: number;
  readonly #handlers: SeqpacketHandlers;
  readonly #poll: ReturnType<typeof koffi.node.poll>;
  readonly #queue: Uint8Array[] = [];
  #drained: (() => void)[] = [];
  #reading = true;
  #closed = false;

  /** Throws KernelError. The caller closes. */
  constructor(path: string, handlers: SeqpacketHandlers) {
    this.#fd = connectTo(path);
    this.#handlers = handlers;
    this.#poll = koffi.node.poll(this.#fd, { readable: true }, () => this.#ready());
  }

  pause(): void {
    this.#reading = false;
    this.#watch();
  }

  resume(): void {
    this.#reading = true;
    this.#watch();
  }

  /** Takes what waits in the socket now, and does not wait for the event loop. */
  receiveWaiting(): void {
    if (this.#reading) this.#receive(packetsWaiting);
  }

  /** false: the peer is slow; wait for `drained` before more is sent. */
  send(packet: Uint8Array): boolean {
    if (this.#closed) return true;
    this.#queue.push(packet);
    this.#flush();
    return this.#queue.length === 0;
  }

  /** When everything has been sent, or the socket is closed. */
  drained(): Promise<void> {
    if (this.#closed || this.#queue.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll.close();
    libc.close(this.#fd);
    this.#settle();
  }

  #ready(): void {
    this.#flush();
    if (this.#reading) this.#receive(packetsPerTurn);
  }

  #receive(most: number): void {
    for (let count = 0; count < most && this.#reading && !this.#closed; count += 1) {
      const packet = Buffer.allocUnsafe(maxPacketBytes);
      const size = libc.recv(this.#fd, packet, packet.length, 0);
      if (size > 0) this.#handlers.onPacket(Buffer.from(packet.subarray(0, size)));
      else if (size < 0 && lastErrno() === EAGAIN) return;
      else {
        this.close();
        this.#handlers.onEnd();
        return;
      }
    }
  }

  #flush(): void {
    while (this.#queue.length > 0 && !this.#closed) {
      const packet = this.#queue[0] as Uint8Array;
      const size = libc.sendto(this.#fd, packet, packet.length, MSG_NOSIGNAL, null, 0);
      if (size < 0 && lastErrno() === EAGAIN) break;
      this.#queue.shift(); // sent; or the peer is gone, which the reading side will notice
    }
    if (this.#queue.length === 0) this.#settle();
    this.#watch();
  }

  #watch(): void {
    if (this.#closed) return;
    const writable = this.#queue.length > 0;
    if (!this.#reading && !writable) this.#poll.stop();
    else this.#poll.start({ readable: this.#reading, writable }, () => this.#ready());
  }

  #settle(): void {
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }
}

function connectTo(path: string): number {
  const name = Buffer.from(path);
  if (name.length >= sunPathBytes) throw new KernelError({ errno: 36, call: 'connect', args: path }); // ENAMETOOLONG
  const address = Buffer.alloc(2 + sunPathBytes);
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  const fd = check(libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 'socket', 'SOCK_SEQPACKET');
  const result = libc.connect(fd, address, 2 + name.length + 1);
  if (result < 0) {
    const errno = lastErrno();
    libc.close(fd);
    throw new KernelError({ errno, call: 'connect', args: path });
  }
  return fd;
}
