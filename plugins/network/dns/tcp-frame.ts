/** Messages over a stream: two bytes of length, then the message (RFC 1035 §4.2.2), any number on one connection (RFC 7766). */
import { connect } from 'node:net';
import type { ServerAddress } from './server-address.ts';

/** Takes chunks as they come, gives whole messages. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** The messages that this chunk completes. */
  push(chunk: Buffer): Buffer[] {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: Buffer[] = [];
    while (data.length >= 2) {
      const length = data.readUInt16BE(0);
      if (data.length < 2 + length) break;
      messages.push(data.subarray(2, 2 + length));
      data = data.subarray(2 + length);
    }
    this.#rest = data;
    return messages;
  }

  /** Bytes that wait for the rest of their message. */
  get waiting(): number {
    return this.#rest.length;
  }
}

/** One buffer, so that length and message leave in one segment (RFC 7766 §8). */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(message.length + 2);
  framed.writeUInt16BE(message.length, 0);
  framed.set(message, 2);
  return framed;
}

/** One question over a connection of its own. Rejects when there is no answer in time. */
export function exchangeTcp(server: ServerAddress, message: Uint8Array, timeoutMs: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server.host, port: server.port });
    const reader = new FrameReader();
    const timer = setTimeout(
      () => socket.destroy(new Error(`no answer over TCP from ${server.text} in ${timeoutMs} ms`)),
      timeoutMs,
    );
    socket.setNoDelay(true);
    socket.on('connect', () => socket.write(frame(message)));
    socket.on('data', (chunk: Buffer) => {
      const [answer] = reader.push(chunk);
      if (answer === undefined) return;
      resolve(Buffer.from(answer));
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      reject(new Error(`${server.text} closed the connection without an answer`));
    });
  });
}
