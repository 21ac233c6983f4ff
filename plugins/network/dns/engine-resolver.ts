/**
 * The container engine's own resolver inside a sandbox, asked past our redirection: it knows the names on networks that are not ours, and
 * the servers that the container was given with `--dns`. Our packets carry a mark that the redirection lets through (takeover.ts).
 */
import { openUdp, serveDatagrams } from '../../linux/datagram.ts';
import { inNetns, type Netns } from '../../linux/netns.ts';
import { lastErrno, libc, MSG_DONTWAIT } from '../../linux/syscall.ts';
import { stripSuffix } from './name.ts';
import { rcodes } from './wire.ts';

/** SO_MARK of queries that are meant for the engine. */
export const engineMark = 0xc1ea7;
const engineAddress = Uint8Array.from([127, 0, 0, 11]);
const timeoutMs = 3000;
/** Where nobody listened, nobody is asked again for this long. */
const absentMs = 5000;
/** A program that asks for the same missing name again and again does not reach the engine each time. */
const unknownMs = 1000;
const maxUnknown = 1000;
const ECONNREFUSED = 111;

export class EngineResolver {
  readonly #netns: Netns;
  /** The container has servers or options of its own, which only the engine knows how to use. */
  answersAll = false;
  /** Names of the container's networks that are not ours: `web.NETWORK` is the engine's to answer. */
  networks: readonly string[] = [];
  #absentUntil = 0;
  /** Names that the engine did not know, until when that is taken as still true. */
  readonly #unknown = new Map<string, number>();
  #open = true;

  /** The namespace stays the caller's to close, after close(). */
  constructor(netns: Netns) {
    this.#netns = netns;
  }

  /** Whether there is anything with dots in it that the engine is to be asked first. */
  get isPreferred(): boolean {
    return this.answersAll || this.networks.length > 0;
  }

  /** Whether a name that we do not know is to be asked of the engine before anybody else. */
  comesFirst(name: string): boolean {
    return this.answersAll || this.networks.some((network) => stripSuffix(name, network) !== undefined);
  }

  /** The engine's reply to the message as it is; undefined when there is no engine, no reply in time, or no such name a moment ago. */
  async ask(message: Buffer, question: string): Promise<Buffer | undefined> {
    const now = performance.now();
    if (!this.#open || now < this.#absentUntil || now < (this.#unknown.get(question) ?? 0)) return undefined;
    const reply = await this.#exchange(message);
    if (reply !== undefined && (reply[3]! & 15) === rcodes.NXDOMAIN) {
      if (this.#unknown.size >= maxUnknown) this.#unknown.clear();
      this.#unknown.set(question, performance.now() + unknownMs);
    }
    return reply;
  }

  close(): void {
    this.#open = false;
  }

  #exchange(message: Buffer): Promise<Buffer | undefined> {
    return new Promise((resolve) => {
      let fd: number;
      try {
        fd = inNetns(this.#netns, () =>
          openUdp({ port: 0, mark: engineMark, connectTo: { address: engineAddress, port: 53 } }),
        );
      } catch {
        resolve(undefined);
        return;
      }
      const into = Buffer.alloc(4096);
      const finish = (reply: Buffer | undefined): void => {
        clearTimeout(timer);
        watch.close();
        resolve(reply);
      };
      const watch = serveDatagrams(fd, () => {
        const length = libc.recv(fd, into, into.length, MSG_DONTWAIT);
        if (length < 0) {
          if (lastErrno() !== ECONNREFUSED) return;
          this.#absentUntil = performance.now() + absentMs;
          finish(undefined);
        } else if (length >= 12 && into[0] === message[0] && into[1] === message[1]) {
          finish(Buffer.from(into.subarray(0, length)));
        }
      });
      const timer = setTimeout(() => finish(undefined), timeoutMs);
      if (libc.sendto(fd, message, message.length, MSG_DONTWAIT, null, 0) < 0) {
        if (lastErrno() === ECONNREFUSED) this.#absentUntil = performance.now() + absentMs;
        finish(undefined);
      }
    });
  }
}
