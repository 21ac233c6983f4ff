/**
 * udp and unixgram. UDP acknowledges nothing; what can be heard is a refusal of the path or of the server's host, shortly after.
 * The name is looked up again now and then, because nothing else would tell that the server has moved.
 */
import { setTimeout as pause } from 'node:timers/promises';
import ipaddr from 'ipaddr.js';
import { DatagramSender } from '../../linux/datagram-sender.ts';
import { isKernelError } from '../../linux/errors.ts';
import type { Connection, Connector } from './connection.ts';
import { resolveHost } from './resolve-host.ts';

export type DatagramTarget =
  | { readonly kind: 'unixgram'; readonly path: string }
  | { readonly kind: 'udp'; readonly host: string; readonly port: number };

const resolveAgainMs = 30_000;
/** A refusal by the server's host comes within this time: the first datagram goes alone and waits for it. */
const probeMs = 20;
const fullQueueMs = 1;
/** A unix socket whose reader has stopped reading stays full. */
const stallMs = 10_000;

export function datagramConnector(server: string, target: DatagramTarget): Connector {
  return {
    server,
    async connect(signal) {
      if (target.kind === 'unixgram') {
        return new DatagramConnection(server, new DatagramSender({ kind: 'unix', path: target.path }), false);
      }
      const [host] = await resolveHost(target.host, signal);
      if (host === undefined) throw new Error(`${target.host} has no address`);
      const address = Uint8Array.from(ipaddr.process(host).toByteArray());
      const connection = new DatagramConnection(
        `${server} (${host})`,
        new DatagramSender({ kind: 'udp', address, port: target.port }),
        true,
      );
      connection.watchName(target.host, host);
      return connection;
    },
  };
}

class DatagramConnection implements Connection {
  readonly peer: string;
  readonly failed: Promise<never>;
  readonly #sender: DatagramSender;
  readonly #fail: (error: unknown) => void;
  readonly #closing = new AbortController();
  #probe: boolean;

  constructor(peer: string, sender: DatagramSender, probe: boolean) {
    this.peer = peer;
    this.#sender = sender;
    this.#probe = probe;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.failed = promise;
    this.#fail = reject;
  }

  /** Fails the connection when the name points elsewhere, so that the next one goes there. */
  watchName(name: string, address: string): void {
    const timer = setInterval(async () => {
      const now = await resolveHost(name, this.#closing.signal).catch(() => undefined);
      if (now !== undefined && !now.includes(address)) this.#fail(new Error(`${name} has another address now`));
    }, resolveAgainMs);
    timer.unref();
    this.#closing.signal.addEventListener('abort', () => clearInterval(timer));
  }

  async send(buffer: Buffer, _length: number, ends: readonly number[]): Promise<void> {
    let sent = 0;
    let progressAt = performance.now();
    if (this.#probe && ends.length > 0) {
      sent = this.#sender.send(buffer, ends.slice(0, 1), 0);
      await pause(probeMs);
      this.#closing.signal.throwIfAborted();
      this.#probe = false;
    }
    while (sent < ends.length) {
      try {
        const taken = this.#sender.send(buffer, ends, sent);
        sent += taken;
        if (taken > 0) progressAt = performance.now();
        if (performance.now() - progressAt > stallMs)
          throw new Error(`${this.peer} has taken nothing for ${stallMs / 1000} s`);
        if (sent < ends.length) await Promise.race([pause(fullQueueMs), this.failed]);
      } catch (error) {
        // A datagram that no path takes would be in the way for ever; formats keep below the limit, so this is a small path.
        if (!isKernelError(error, 'EMSGSIZE')) throw error;
        sent += 1;
      }
    }
  }

  unacknowledged(): number {
    return 0;
  }

  close(): void {
    this.#closing.abort(new Error('the connection is closed'));
    this.#fail(new Error('the connection is closed'));
    this.#sender.close();
  }
}
