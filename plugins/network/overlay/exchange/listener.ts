/** The peers' side towards us: accepts their connections on one address and hands what they say to the inbox. */
import type { Server, TLSSocket } from 'node:tls';
import { errorLine, PluginError } from '../../../sdk/errors.ts';
import { Conversation, type Hearing } from './conversation.ts';
import { describeRefusal, secureServer } from './secure.ts';

/** Pings come each second. */
const silenceMs = 5000;
const mostConnections = 1024;

export interface ListenerParts extends Hearing {
  readonly address: string;
  readonly port: number;
  readonly key: Buffer;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export class Listener {
  readonly #parts: ListenerParts;
  readonly #server: Server;
  readonly #conversations = new Map<TLSSocket, Conversation>();

  /** Throws NET_OVERLAY_CONFIG when the port cannot be had. */
  static async open(parts: ListenerParts): Promise<Listener> {
    const listener = new Listener(parts);
    await listener.#listen();
    return listener;
  }

  private constructor(parts: ListenerParts) {
    this.#parts = parts;
    this.#server = secureServer(parts.key, (socket) => this.#accept(socket));
    this.#server.maxConnections = mostConnections;
    let refused = 0;
    this.#server.on('tlsClientError', (error, socket) => {
      // The first ones only: whoever knocks without the secret must not fill the log.
      if (refused++ < 10)
        parts.log.warn(
          { from: socket.remoteAddress, reason: describeRefusal(error) },
          'a connection without the secret was refused',
        );
    });
  }

  /** Connections that peers have made to us. */
  conversations(): Iterable<Conversation> {
    return this.#conversations.values();
  }

  async close(): Promise<void> {
    for (const socket of this.#conversations.keys()) socket.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #listen(): Promise<void> {
    const { address, port } = this.#parts;
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(
          new PluginError('NET_OVERLAY_CONFIG', `${address} port ${port} cannot be listened on: ${error.message}`, {
            hint: 'choose another "overlay.port", the same on every host',
            cause: error,
          }),
        ),
      );
      this.#server.listen({ host: address, port }, resolve);
    });
  }

  #accept(socket: TLSSocket): void {
    const { log } = this.#parts;
    const from = socket.remoteAddress;
    this.#conversations.set(socket, new Conversation(socket, this.#parts, { endWhenStale: true }));
    socket.setTimeout(silenceMs, () => socket.destroy(new Error('it is silent')));
    socket.on('error', (error) => log.info({ from, reason: errorLine(error) }, 'a connection of a peer ended'));
    socket.on('close', () => this.#conversations.delete(socket));
  }
}
