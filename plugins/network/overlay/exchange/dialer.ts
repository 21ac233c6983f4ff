/**
 * Our side towards one peer: dials until it is there, tells it everything once and every change from then on, and asks it each
 * second whether it still listens. What a connection said ends with it, so after a loss everything is told again.
 */
import type { TLSSocket } from 'node:tls';
import { errorLine } from '../../../sdk/errors.ts';
import { FrameReader, writeFrame } from './frame.ts';
import { type Message, readMessage } from './messages.ts';
import { secureConnect } from './secure.ts';

const firstPauseMs = 100;
/** Short: a peer that comes back is to be known again within two seconds. */
const longestPauseMs = 800;
const connectMs = 1500;
const pingMs = 1000;
const silenceMs = 4000;

export interface DialerParts {
  readonly peer: string;
  readonly port: number;
  readonly key: Buffer;
  /** The first two messages of a connection. */
  readonly greet: () => readonly Message[];
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export class Dialer {
  readonly #parts: DialerParts;
  #socket: TLSSocket | undefined;
  #connected = false;
  #pauseMs = firstPauseMs;
  #timer: NodeJS.Timeout | undefined;
  #lastPong = 0;
  #closed = false;
  #rttMs: number | undefined;
  #state = 'connecting';

  constructor(parts: DialerParts) {
    this.#parts = parts;
    this.#dial();
  }

  get state(): string {
    return this.#state;
  }

  get rttMs(): number | undefined {
    return this.#connected ? this.#rttMs : undefined;
  }

  /** Nothing while there is no connection: the next one begins with everything. */
  send(message: Message): void {
    if (this.#connected) this.#socket?.write(writeFrame(message));
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
    const reader = new FrameReader();
    let reason = 'it closed the connection';
    this.#timer = setTimeout(() => socket.destroy(new Error('it does not answer')), connectMs).unref();
    socket.on('secureConnect', () => {
      clearTimeout(this.#timer);
      socket.setNoDelay(true);
      this.#connected = true;
      this.#pauseMs = firstPauseMs;
      this.#lastPong = performance.now();
      this.#state = 'connected';
      log.info({ peer }, 'connected to a host of the overlay');
      for (const message of greet()) this.send(message);
      this.#ping();
    });
    socket.on('data', (bytes: Buffer) => {
      try {
        for (const value of reader.push(bytes)) {
          const message = readMessage(value);
          if (message.kind !== 'pong') continue;
          this.#lastPong = performance.now();
          // Microseconds; the clock is ours.
          this.#rttMs = Math.max(0, this.#lastPong - message.at / 1000);
        }
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.on('error', (error) => {
      reason = errorLine(error);
    });
    socket.on('close', () => {
      clearTimeout(this.#timer);
      const was = this.#connected;
      this.#connected = false;
      if (this.#closed) return;
      if (was || this.#state === 'connecting') log.warn({ peer, reason }, 'a host of the overlay is not reachable');
      this.#state = reason;
      this.#timer = setTimeout(() => this.#dial(), this.#pauseMs * (0.5 + Math.random() / 2)).unref();
      this.#pauseMs = Math.min(longestPauseMs, this.#pauseMs * 2);
    });
  }

  #ping(): void {
    if (performance.now() - this.#lastPong > silenceMs) {
      this.#socket?.destroy(new Error(`silent for ${silenceMs / 1000} s`));
      return;
    }
    this.send({ kind: 'ping', at: Math.round(performance.now() * 1000) });
    this.#timer = setTimeout(() => this.#ping(), pingMs).unref();
  }
}
