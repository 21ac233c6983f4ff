/**
 * Writes down what arrives, byte by byte, for tests and for trying things out: one JSON line per read,
 * `{"at":"tcp:5515","connection":1,"hex":"3c33…"}`; over TLS also `"peer"`, the common name of the client's certificate.
 *
 *     bin/node lab/log-receiver.ts OUT udp:5514 tcp:5515 tls:6514:CERT:KEY[:CA] unix:/run/log.sock
 *
 * Prints `ready` when all listen. `tcp:PORT:deaf` accepts and never reads; `tcp:PORT:resets` resets the first connections
 * in the middle of a message.
 */
import { createSocket } from 'node:dgram';
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';

/** Both families, where the host has both. */
const anyAddress = Object.values(networkInterfaces())
  .flat()
  .some((address) => address?.family === 'IPv6')
  ? '::'
  : '0.0.0.0';

const [out = '', ...places] = process.argv.slice(2);

function note(at: string, data: Buffer, from: { readonly connection?: number; readonly peer?: string } = {}): void {
  appendFileSync(out, `${JSON.stringify({ at, ...from, hex: data.toString('hex') })}\n`);
}

function listenUdp(at: string, port: number): Promise<void> {
  const socket = createSocket(anyAddress === '::' ? 'udp6' : 'udp4');
  socket.on('message', (data) => note(at, data));
  return new Promise((resolve) => {
    socket.bind(port, anyAddress, () => {
      socket.setRecvBufferSize(4 * 1024 * 1024);
      resolve();
    });
  });
}

/** How a stream server behaves: it reads; accepts and never reads; or resets the first connections in the middle of a message. */
type Manner = 'reads' | 'deaf' | 'resets';

const resets = 5;

let connections = 0;

function onConnection(at: string, manner: Manner): (socket: Socket) => void {
  let here = 0;
  return (socket) => {
    const connection = ++connections;
    const name = socket instanceof TLSSocket ? socket.getPeerCertificate().subject?.CN : undefined;
    const from = { connection, ...(typeof name === 'string' && { peer: name }) };
    socket.on('error', () => {});
    if (manner === 'deaf') {
      socket.pause();
      return;
    }
    const reset = manner === 'resets' && ++here <= resets;
    socket.on('data', (data) => {
      if (reset) {
        // Most of the last message is missing, and nobody can tell the sender which.
        note(at, data.subarray(0, Math.max(0, data.length - 10)), from);
        socket.resetAndDestroy();
      } else note(at, data, from);
    });
  };
}

function listen(server: Server, where: number | string): Promise<void> {
  return new Promise((resolve) => {
    if (typeof where === 'string') server.listen(where, resolve);
    else server.listen(where, anyAddress, resolve);
  });
}

async function open(place: string): Promise<void> {
  const [kind = '', where = '', ...rest] = place.split(':');
  const at = `${kind}:${where}`;
  if (kind === 'udp') return listenUdp(at, Number(where));
  if (kind === 'unix') return listen(createServer(onConnection(at, 'reads')), where);
  if (kind === 'tcp') {
    const manner: Manner = rest[0] === 'deaf' || rest[0] === 'resets' ? rest[0] : 'reads';
    return listen(createServer({ pauseOnConnect: manner === 'deaf' }, onConnection(at, manner)), Number(where));
  }
  if (kind !== 'tls') throw new Error(`unknown kind of place: ${place}`);
  const [cert = '', key = '', ca] = rest;
  const options = {
    cert: readFileSync(cert),
    key: readFileSync(key),
    ...(ca && { ca: readFileSync(ca), requestCert: true }),
  };
  return listen(createTlsServer(options, onConnection(at, 'reads')), Number(where));
}

await Promise.all(places.map(open));
process.stdout.write('ready\n');
