/**
 * Room for bursts in the sockets of wireguard-go. It takes the kernel's default, 208 kB, which 90 packets fill: of a stream that
 * it cannot decrypt as fast as it comes a sixth was lost, after it had been encrypted for nothing. (Versions since 2023 ask for
 * 7 MB themselves.)
 */
import { listBoundSockets } from '../../../linux/bound-sockets.ts';
import { isKernelError } from '../../../linux/errors.ts';
import { setReceiveBuffer } from '../../../linux/receive-buffer.ts';

/** 900 packets; at what wireguard-go decrypts, 15 ms. */
const bytes = 1 << 20;

export class ReceiveBuffers {
  readonly #log: { warn(fields: object, message: string): void };
  /** Inodes of the sockets that were seen to. It opens new ones when its link goes up and when its port changes. */
  #done: ReadonlySet<string> = new Set();

  constructor(log: { warn(fields: object, message: string): void }) {
    this.#log = log;
  }

  /** Sees to the sockets of these ports. */
  ensure(ports: readonly number[]): void {
    const sockets = listBoundSockets('udp').filter(({ port }) => ports.includes(port));
    const fresh = sockets.filter(({ inode }) => !this.#done.has(inode));
    this.#done = new Set(sockets.map(({ inode }) => inode));
    for (const socket of fresh) {
      try {
        setReceiveBuffer(socket, bytes);
      } catch (error) {
        if (!isKernelError(error)) throw error;
        const { port } = socket;
        this.#log.warn({ err: error, port }, 'wireguard-go keeps its small receive buffer: large transfers are slower');
      }
    }
  }
}
