/** The peers' side towards us: accepts their connections on one address and hands what they say to the inbox. */
import type { Server, TLSSocket } from 'node:tls';
import { errorLine, PluginError } from '../../../sdk/errors.ts';
import { FrameReader, writeFrame } from './frame.ts';
import type { Inbox } from './inbox.ts';
import { type Message, protocolVersion, readMessage } from './messages.ts';
import { secureServer } from './secure.ts';

/** Pings come each second. */
const silenceMs = 5000;
const helloMs = 3000;
const mostConnections = 1024;

export interface ListenerParts {
  readonly address: string;
  readonly port: number;
  readonly key: Buffer;
  readonly node: string;
  readonly inbox: Inbox;
  readonly onChange: (networks: readonly string[]) => void;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export class Listener {
  readonly #parts: ListenerParts;
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();

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
          { from: socket.remoteAddress, reason: errorLine(error) },
          'a connection without the secret was refused',
        );
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
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
    const { inbox, onChange, log, node } = this.#parts;
    const reader = new FrameReader();
    const from = socket.remoteAddress;
    let hello: Extract<Message, { kind: 'hello' }> | undefined;
    this.#sockets.add(socket);
    socket.setTimeout(helloMs, () => socket.destroy(new Error('it is silent')));
    socket.setNoDelay(true);
    socket.on('error', (error) => log.info({ from, reason: errorLine(error) }, 'a connection of a peer ended'));
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (bytes: Buffer) => {
      try {
        for (const value of reader.push(bytes)) {
          const message = readMessage(value);
          if (hello === undefined) {
            hello = this.#greet(message, node);
            if (!inbox.open(hello)) throw new Error('a younger connection of the same host is there');
            socket.setTimeout(silenceMs);
            continue;
          }
          const changed = inbox.take(hello, message);
          if (changed === undefined) throw new Error('a younger connection of the same host has taken its place');
          if (message.kind === 'ping') socket.write(writeFrame({ kind: 'pong', at: message.at }));
          if (changed.length > 0) onChange(changed);
        }
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
  }

  #greet(message: Message, node: string): Extract<Message, { kind: 'hello' }> {
    if (message.kind !== 'hello') throw new Error('it did not say who it is');
    if (message.version !== protocolVersion) throw new Error(`it speaks version ${message.version} of the exchange`);
    if (message.node === node) throw new Error('it has the same identity as this host: its state folder was copied');
    return message;
  }
}
