/**
 * Writes down what arrives, byte by byte, for tests and for trying things out: one JSON line per read, `{"at":"udp:5514","hex":"3c33…"}`.
 *
 *     bin/node lab/log-receiver.ts OUT udp:5514 tcp:5515 tls:6514:CERT:KEY[:CA] unix:/run/log.sock
 *
 * Prints `ready` when all listen. `tcp:PORT:deaf` accepts and never reads; `tcp:PORT:resets` resets the first connections
 * in the middle of a message.
 */
import { createSocket } from 'node:dgram';
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

const [out = '', ...places] = process.argv.slice(2);

function note(at: string, data: Buffer): void {
  appendFileSync(out, `${JSON.stringify({ at, hex: data.toString('hex') })}\n`);
}

function listenUdp(at: string, port: number): Promise<void> {
  const socket = createSocket('udp4');
  socket.on('message', (data) => note(at, data));
  return new Promise((resolve) => {
    socket.bind(port, '127.0.0.1', () => {
      socket.setRecvBufferSize(4 * 1024 * 1024);
      resolve();
    });
  });
}

/** How a stream server behaves: it reads; accepts and never reads; or resets the first connections in the middle of a message. */
type Manner = 'reads' | 'deaf' | 'resets';

const resets = 5;

function onConnection(at: string, manner: Manner): (socket: Socket) => void {
  let connections = 0;
  return (socket) => {
    socket.on('error', () => {});
    if (manner === 'deaf') {
      socket.pause();
      return;
    }
    const reset = manner === 'resets' && ++connections <= resets;
    socket.on('data', (data) => {
      if (reset) {
        // Most of the last message is missing, and nobody can tell the sender which.
        note(at, data.subarray(0, Math.max(0, data.length - 10)));
        socket.resetAndDestroy();
      } else note(at, data);
    });
  };
}

function listen(server: Server, where: number | string): Promise<void> {
  return new Promise((resolve) => {
    if (typeof where === 'string') server.listen(where, resolve);
    else server.listen(where, '0.0.0.0', resolve);
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
