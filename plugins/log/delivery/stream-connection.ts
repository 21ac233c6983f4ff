/** tcp, tcp+tls and unix stream connections. */
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { unacknowledgedBytes } from '../../linux/stream-queue.ts';
import type { Connection, Connector } from './connection.ts';
import { resolveHost } from './resolve-host.ts';
import { readTlsFiles, type TlsFiles, tlsFilesVersion } from './tls-files.ts';

export type StreamTarget =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      readonly tls?: TlsFiles;
    };

const keepAliveMs = 30_000;
const certificateCheckMs = 5000;

export function streamConnector(server: string, target: StreamTarget): Connector {
  return {
    server,
    async connect(signal) {
      if (target.kind === 'unix') return open(server, () => connectTcp({ path: target.path }), 'connect', signal);
      const addresses = await resolveHost(target.host, signal);
      let failure: unknown;
      for (const host of addresses) {
        try {
          return await openTcp(`${server} (${host})`, target, host, signal);
        } catch (error) {
          failure = error;
          signal.throwIfAborted();
        }
      }
      throw failure ?? new Error(`${target.host} has no address`);
    },
  };
}

function openTcp(
  peer: string,
  target: Extract<StreamTarget, { kind: 'tcp' }>,
  host: string,
  signal: AbortSignal,
): Promise<Connection> {
  const { port, tls } = target;
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: keepAliveMs, noDelay: true };
  if (tls === undefined) return open(peer, () => connectTcp({ host, port, ...keepAlive }), 'connect', signal);
  // RFC 5425 §5.2: the certificate is checked against the name that the user wrote, not the address.
  const name: ConnectionOptions = isIP(target.host) === 0 ? { servername: target.host } : {};
  const version = tlsFilesVersion(tls);
  const options = { host, port, ...keepAlive, ...name, ...readTlsFiles(tls) };
  return open(
    peer,
    () => connectTls(options),
    'secureConnect',
    signal,
    () => tlsFilesVersion(tls) !== version,
  );
}

async function open(
  peer: string,
  start: () => Socket,
  readyEvent: 'connect' | 'secureConnect',
  signal: AbortSignal,
  outdated?: () => boolean,
): Promise<Connection> {
  signal.throwIfAborted();
  const socket = start();
  const { promise: failed, reject: fail } = Promise.withResolvers<never>();
  failed.catch(() => {});
  const abort = (): void => void socket.destroy(new Error('no connection within the time limit'));
  signal.addEventListener('abort', abort, { once: true });
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the connection was closed')));
  // A log server has nothing to say; its end of the stream is the end of the connection.
  socket.on('end', () => fail(new Error('the server ended the connection')));
  socket.resume();
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  socket.once(readyEvent, () => resolve());
  try {
    await Promise.race([ready, failed]);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
  if (outdated !== undefined) watchFiles(socket, outdated);
  return {
    peer,
    failed,
    async send(buffer, length) {
      const { promise: taken, resolve: done, reject } = Promise.withResolvers<void>();
      socket.write(buffer.subarray(0, length), (error) => (error ? reject(error) : done()));
      await Promise.race([taken, failed]);
    },
    unacknowledged: () => socket.writableLength + unacknowledgedBytes(fdOf(socket)),
    close: () => void socket.destroy(),
  };
}

/** A connection with certificates that have been replaced is made anew. */
function watchFiles(socket: Socket, outdated: () => boolean): void {
  const timer = setInterval(() => {
    if (outdated()) socket.destroy(new Error('the certificates have changed'));
  }, certificateCheckMs);
  timer.unref();
  socket.once('close', () => clearInterval(timer));
}

/** Node keeps the descriptor of a socket on its handle; for TLS, on the socket below. */
function fdOf(socket: Socket): number {
  const holder = socket as {
    readonly _handle?: { readonly fd?: number; readonly _parent?: { readonly fd?: number } } | null;
  };
  return holder._handle?.fd ?? holder._handle?._parent?.fd ?? -1;
}
