/**
 * One connection, from either end: what the other side says goes to the inbox, and this side speaks when it is told to. Who
 * dialled speaks at once; who was dialled does when it cannot dial the other side itself, which is behind a NAT.
 */
import type { TLSSocket } from 'node:tls';
import { FrameReader, writeFrame } from './frame.ts';
import type { Inbox } from './inbox.ts';
import { type Message, protocolVersion, readMessage } from './messages.ts';

const pingMs = 1000;
const silenceMs = 4000;

type Hello = Extract<Message, { kind: 'hello' }>;

export interface Hearing {
  /** This host's own identity. */
  readonly node: string;
  readonly inbox: Inbox;
  readonly onChange: (networks: readonly string[]) => void;
}

export class Conversation {
  readonly #socket: TLSSocket;
  readonly #hearing: Hearing;
  /** Ends the connection when a younger one of the same host has come; else it only stops to listen. */
  readonly #endWhenStale: boolean;
  readonly #reader = new FrameReader();
  #hello: Hello | undefined;
  #deaf = false;
  #speaking = false;
  #lastPong = 0;
  #rttMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: TLSSocket, hearing: Hearing, { endWhenStale }: { readonly endWhenStale: boolean }) {
    this.#socket = socket;
    this.#hearing = hearing;
    this.#endWhenStale = endWhenStale;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => {
      try {
        for (const value of this.#reader.push(bytes)) this.#hear(readMessage(value));
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.on('close', () => this.hush());
  }

  get speaks(): boolean {
    return this.#speaking;
  }

  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Who is at the other end; undefined until it has said so. */
  get hello(): Hello | undefined {
    return this.#deaf ? undefined : this.#hello;
  }

  /** From now on the other side is told; `greeting` is everything so far. */
  speak(greeting: readonly Message[]): void {
    this.#speaking = true;
    this.#lastPong = performance.now();
    for (const message of greeting) this.send(message);
    this.#ping();
  }

  hush(): void {
    this.#speaking = false;
    clearTimeout(this.#timer);
  }

  /** Nothing while it does not speak: it begins with everything. */
  send(message: Message): void {
    if (this.#speaking) this.#socket.write(writeFrame(message));
  }

  #hear(message: Message): void {
    if (message.kind === 'ping') this.#socket.write(writeFrame({ kind: 'pong', at: message.at }));
    if (message.kind === 'pong') {
      this.#lastPong = performance.now();
      // Microseconds; the clock is ours.
      this.#rttMs = Math.max(0, this.#lastPong - message.at / 1000);
      return;
    }
    const { inbox, node, onChange } = this.#hearing;
    if (message.kind === 'hello') {
      if (message.version !== protocolVersion) throw new Error(`it speaks version ${message.version} of the exchange`);
      if (message.node === node) throw new Error('it has the same identity as this host: its state folder was copied');
      this.#hello = message;
      this.#deaf = false;
      if (!inbox.open(message)) this.#stale();
      return;
    }
    if (this.#deaf) return;
    if (!this.#hello) throw new Error('it did not say who it is');
    const changed = inbox.take(this.#hello, message);
    if (changed === undefined) this.#stale();
    else if (changed.length > 0) onChange(changed);
  }

  #stale(): void {
    if (this.#endWhenStale) throw new Error('a younger connection of the same host is there');
    this.#deaf = true;
  }

  #ping(): void {
    if (performance.now() - this.#lastPong > silenceMs) {
      this.#socket.destroy(new Error(`silent for ${silenceMs / 1000} s`));
      return;
    }
    this.send({ kind: 'ping', at: Math.round(performance.now() * 1000) });
    this.#timer = setTimeout(() => this.#ping(), pingMs).unref();
  }
}
