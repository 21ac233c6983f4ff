/** Multicast groups of netlink on the event loop: what others change in a namespace, as it happens. */
import { KernelError } from '../errors.ts';
import { inNetns, type Netns } from '../netns.ts';
import {
  AF_NETLINK,
  check,
  closeFd,
  lastErrno,
  libc,
  MSG_DONTWAIT,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
  watchReadable,
} from '../syscall.ts';
import { type Message, readMessages } from './message.ts';
import { NETLINK_ADD_MEMBERSHIP, SOL_NETLINK } from './socket.ts';

const EAGAIN = 11;
const EINTR = 4;
const ENOBUFS = 105;
/** Room for bursts, such as the links of a thousand containers. */
const receiveBufferBytes = 4 * 1024 * 1024;
/** Datagrams for each turn of the event loop, so that a flood does not starve everything else. */
const datagramsPerTurn = 64;

export interface MonitorOptions {
  /** NETLINK_ROUTE, NETLINK_NETFILTER */
  readonly protocol: number;
  readonly groups: readonly number[];
  readonly netns?: Netns;
  readonly onMessage: (message: Message) => void;
  /** The kernel dropped messages: what is known from earlier ones is out of date. */
  readonly onLost: () => void;
}

/** Receives until it is closed; it keeps the process alive until then. */
export class NetlinkMonitor {
  readonly #fd: number;
  readonly #options: MonitorOptions;
  readonly #watch: { close(): void };
  readonly #into = Buffer.allocUnsafe(64 * 1024);
  #open = true;

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#fd = options.netns ? inNetns(options.netns, () => subscribe(options)) : subscribe(options);
    this.#watch = watchReadable(this.#fd, () => this.#drain());
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
    for (let count = 0; count < datagramsPerTurn && this.#open; count++) {
      const size = libc.recv(this.#fd, this.#into, this.#into.length, MSG_DONTWAIT);
      if (size < 0) {
        const errno = lastErrno();
        if (errno === EAGAIN) return;
        if (errno === EINTR) continue;
        if (errno !== ENOBUFS) throw new KernelError({ errno, call: 'recv', args: 'netlink monitor' });
        this.#options.onLost();
        continue;
      }
      for (const message of readMessages(this.#into.subarray(0, size))) {
        if (this.#open) this.#options.onMessage(message);
      }
    }
  }
}

function subscribe({ protocol, groups }: MonitorOptions): number {
  const fd = check(
    libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol),
    'socket',
    `AF_NETLINK ${protocol}`,
  );
  const value = Buffer.alloc(4);
  // struct sockaddr_nl. Unbound, the socket has port 0 like the kernel itself, and is left out of what the kernel sends.
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK);
  try {
    check(libc.bind(fd, address, address.length), 'bind', 'AF_NETLINK');
    value.writeUInt32LE(receiveBufferBytes);
    check(libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, value, 4), 'setsockopt', 'SO_RCVBUFFORCE');
    for (const group of groups) {
      value.writeUInt32LE(group);
      check(
        libc.setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, value, 4),
        'setsockopt',
        `NETLINK_ADD_MEMBERSHIP ${group}`,
      );
    }
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}
