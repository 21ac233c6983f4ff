/**
 * Connections that stop being HTTP: `attach` and `exec start`. The client sends its request with `Upgrade: tcp`; after the
 * 101 the socket carries the container's streams, and each direction closes by itself (a half-closed stdin goes on reading).
 *
 * Such requests arrive as Node's 'upgrade' event, already free of the HTTP parser, and so never reach fastify; their JSON body,
 * which Node leaves unread, is taken off the socket here.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError } from './api-error.ts';

export interface HijackRequest {
  /** Without the version prefix. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

/** Answers 101 and hands the socket over; `multiplexed` tells the client that frames carry stdout and stderr apart. */
export type Accept = (multiplexed: boolean) => Duplex;

/** Throws ApiError until it has called `accept`. */
export type HijackHandler = (request: HijackRequest, accept: Accept) => Promise<void>;

const maxBodyBytes = 1 << 20;
const versionPrefix = /^\/v[0-9]+\.[0-9]+(?=\/)/;

export async function serveHijack(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  handler: HijackHandler,
): Promise<void> {
  socket.on('error', () => socket.destroy());
  let accepted = false;
  try {
    const url = new URL(request.url ?? '/', 'http://docker');
    const body = await readBody(request, socket, head);
    const accept: Accept = (multiplexed) => {
      accepted = true;
      const type = multiplexed ? 'application/vnd.docker.multiplexed-stream' : 'application/vnd.docker.raw-stream';
      socket.write(`HTTP/1.1 101 UPGRADED\r\nContent-Type: ${type}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n`);
      return socket;
    };
    await handler({ path: url.pathname.replace(versionPrefix, ''), query: url.searchParams, body }, accept);
  } catch (error) {
    if (accepted) socket.destroy();
    else refuse(socket, error);
  }
}

function refuse(socket: Duplex, error: unknown): void {
  const status = error instanceof ApiError ? error.statusCode : 500;
  const message = error instanceof Error ? error.message : String(error);
  const body = `${JSON.stringify({ message })}\n`;
  const length = Buffer.byteLength(body);
  socket.end(
    `HTTP/1.1 ${status} Error\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** The JSON body by its Content-Length; what follows it is the stream's and is put back. */
function readBody(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<unknown> {
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > maxBodyBytes) throw new ApiError(413, 'request body too large');
  return new Promise((resolve, reject) => {
    let received = head;
    const finish = () => {
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.pause();
      const rest = received.subarray(length);
      if (rest.length > 0) socket.unshift(rest);
      try {
        resolve(length === 0 ? undefined : JSON.parse(received.subarray(0, length).toString()));
      } catch {
        reject(new ApiError(400, 'invalid JSON: the request body cannot be parsed'));
      }
    };
    const onData = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length >= length) finish();
    };
    const onEnd = () => reject(new ApiError(400, 'unexpected end of the request body'));
    if (received.length >= length) return finish();
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.resume();
  });
}
