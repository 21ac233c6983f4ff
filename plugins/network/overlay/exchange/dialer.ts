/**
 * Our side towards one peer: dials until it is there, and tells it everything once and every change from then on. What a
 * connection said ends with it, so after a loss everything is told again.
 */
import type { TLSSocket } from 'node:tls';
import { Conversation, type Hearing } from './conversation.ts';
import type { Message } from './messages.ts';
import { describeRefusal, secureConnect } from './secure.ts';

const firstPauseMs = 100;
/** Short: a peer that comes back is to be known again within two seconds. */
const longestPauseMs = 800;
const connectMs = 1500;

export interface DialerParts extends Hearing {
  readonly peer: string;
  readonly port: number;
  readonly key: Buffer;
  /** The first messages of a connection. */
  readonly greet: () => readonly Message[];
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export class Dialer {
  readonly #parts: DialerParts;
  #socket: TLSSocket | undefined;
  #conversation: Conversation | undefined;
  #pauseMs = firstPauseMs;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #state = 'connecting';

  constructor(parts: DialerParts) {
    this.#parts = parts;
    this.#dial();
  }

  get state(): string {
    return this.#state;
  }

  /** While there is a connection. */
  get conversation(): Conversation | undefined {
    return this.#conversation;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #dial(): void {
    const { peer, port, key, greet, log } = this.#parts;
    const socket = secureConnect(key, peer, port);
    this.#socket = socket;
    let reason = 'it closed the connection';
    this.#timer = setTimeout(() => socket.destroy(new Error('it does not answer')), connectMs).unref();
    socket.on('secureConnect', () => {
      clearTimeout(this.#timer);
      this.#conversation = new Conversation(socket, this.#parts, { endWhenStale: false });
      this.#pauseMs = firstPauseMs;
      this.#state = 'connected';
      log.info({ peer }, 'connected to a host of the overlay');
      this.#conversation.speak(greet());
    });
    socket.on('error', (error) => {
      reason = describeRefusal(error);
    });
    socket.on('close', () => {
      clearTimeout(this.#timer);
      const was = this.#conversation !== undefined;
      this.#conversation = undefined;
      if (this.#closed) return;
      if (was || this.#state === 'connecting') log.warn({ peer, reason }, 'a host of the overlay is not reachable');
      this.#state = reason;
      this.#timer = setTimeout(() => this.#dial(), this.#pauseMs * (0.5 + Math.random() / 2)).unref();
      this.#pauseMs = Math.min(longestPauseMs, this.#pauseMs * 2);
    });
  }
}
