/**
 * Queries over TCP: several on one connection, answered as they are ready (RFC 7766 §6.2.1.1). Connections are few and short-lived:
 * idle ones are closed, and so are clients that never read.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { EngineResolver } from './engine-resolver.ts';
import type { PeerViews } from './peer-views.ts';
import type { ClientBudget, Responder } from './responder.ts';
import { FrameReader, frame } from './tcp-frame.ts';

/** RFC 7766 §6.2.3: seconds, and the more generous the fewer there are. */
const idleMs = 10_000;
const maxConnections = 256;
const maxConnectionsPerClient = 32;
/** A client that does not read its answers is cut off here. */
const maxUnsentBytes = 1 << 20;
const maxPipelined = 100;

export interface TcpServerParts {
  readonly views: PeerViews;
  readonly responder: Responder;
  readonly engine?: EngineResolver;
}

/** Not listening yet: the caller gives it a socket of the right namespace. */
export function createTcpServer(parts: TcpServerParts): Server {
  const budgets = new Map<string, ClientBudget & { connections: number }>();
  const server = createServer({ noDelay: true }, (socket) => {
    const address = (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
    const budget = budgets.get(address) ?? { pending: 0, connections: 0 };
    budgets.set(address, budget);
    if (++budget.connections > maxConnectionsPerClient) socket.destroy();
    socket.on('close', () => {
      if (--budget.connections === 0) budgets.delete(address);
    });
    // A client that goes away in the middle is nothing to report.
    socket.on('error', () => socket.destroy());
    socket.setTimeout(idleMs, () => socket.destroy());
    serveConnection(socket, parts, budget, address);
  });
  server.maxConnections = maxConnections;
  return server;
}

function serveConnection(socket: Socket, parts: TcpServerParts, client: ClientBudget, address: string): void {
  const reader = new FrameReader();
  const { responder, engine } = parts;
  let open = 0;
  const send = (reply: Uint8Array, length: number): void => {
    done();
    if (socket.destroyed) return;
    socket.write(frame(reply.subarray(0, length)));
    if (socket.writableLength > maxUnsentBytes) socket.destroy();
  };
  const done = (): void => {
    if (--open < maxPipelined) socket.resume();
  };
  socket.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) {
      open++;
      if (open >= maxPipelined) socket.pause();
      const asker = {
        view: parts.views.findByText(address),
        transport: 'tcp',
        client,
        address,
        port: socket.remotePort ?? 0,
      } as const;
      const given = engine === undefined ? asker : { ...asker, engine };
      if (!responder.respond(Buffer.from(message), given, send)) done();
    }
  });
}
