/** The exchange between daemons, over loopback: who is let in, and what nonsense does. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SharedNetwork } from '../../plugins/network/overlay/control-plane.ts';
import { Exchange } from '../../plugins/network/overlay/exchange/exchange.ts';
import { writeFrame } from '../../plugins/network/overlay/exchange/frame.ts';
import { deriveKey, secureConnect } from '../../plugins/network/overlay/exchange/secure.ts';
import { eventually } from '../support/deadline.ts';

const key = deriveKey('a secret for the test');
const log = pino({ level: 'silent' });
const port = 24_788;
const names = ['127.0.0.2', '127.0.0.3', '127.0.0.4'] as const;

function start(index: number, options: { epoch?: number; key?: Buffer; leaseMs?: number } = {}): Exchange {
  return new Exchange({
    key: options.key ?? key,
    port,
    leaseMs: () => options.leaseMs ?? 60_000,
    node: `node-${index}`,
    hostName: `host-${index}`,
    epoch: options.epoch ?? 1,
    onChange: () => {},
    log,
  });
}

const network = (index: number, ...ids: string[]): SharedNetwork => ({
  name: 'prod',
  vni: 7,
  port: 4789,
  host: names[index] ?? '',
  pools: ['10.0.0.0/24'],
  gateways: ['10.0.0.1'],
  shares: 3,
  attributes: {},
  endpoints: ids.map(endpoint),
});
const endpoint = (id: string) => ({ id, addresses: ['10.0.0.9'], mac: '02:42:0a:00:00:09', names: [id] });
const seen = (exchange: Exchange): string =>
  exchange
    .remoteParts('prod')
    .map((part) => `${part.hostName}:${part.network.endpoints.map(({ id }) => id).sort()}`)
    .sort()
    .join(' ');
const stateOf = (exchange: Exchange, peer: string) => exchange.peers().find((one) => one.peer === peer)?.state;
const sees = (exchange: Exchange, what: string) =>
  eventually(`"${what}"`, () => seen(exchange) === what, { everyMs: 10 });

test('state, changes, withdrawal, and a restart that says less than before', async () => {
  const [one, two] = [start(0), start(1)];
  let again: Exchange | undefined;
  try {
    one.announce(network(0, 'a'), names);
    two.announce(network(1, 'b'), names);
    await Promise.all([sees(one, 'host-1:b'), sees(two, 'host-0:a')]);
    one.change('prod', { kind: 'put', endpoint: endpoint('c') });
    one.change('prod', { kind: 'remove', endpointId: 'a' });
    await sees(two, 'host-0:c');
    await one.close();
    assert.is(seen(two), 'host-0:c', 'what was said outlives the connection');
    again = start(0, { epoch: 2 });
    again.announce(network(0, 'd'), names);
    await Promise.all([sees(two, 'host-0:d'), sees(again, 'host-1:b')]);
    again.withdraw('prod');
    await sees(two, '');
  } finally {
    await Promise.all([one.close(), two.close(), again?.close()]);
  }
});

test('who is gone is forgotten after the lease, and not before', async () => {
  const [one, two] = [start(0), start(1, { leaseMs: 1500 })];
  try {
    two.announce(network(1), names);
    one.announce(network(0, 'a'), names);
    await sees(two, 'host-0:a');
    await one.close();
    assert.is(seen(two), 'host-0:a');
    await sees(two, '');
  } finally {
    await Promise.all([one.close(), two.close()]);
  }
});

test('another secret, garbage, and an impostor that knows the secret but makes no sense', async () => {
  const one = start(0);
  const stranger = start(1, { key: deriveKey('a secret for nobody') });
  const two = start(2);
  try {
    one.announce(network(0, 'a'), names);
    stranger.announce(network(1, 'x'), names);
    two.announce(network(2, 'c'), names);
    await Promise.all([sees(one, 'host-2:c'), sees(two, 'host-0:a')]);

    for (const bytes of [
      Buffer.alloc(4096, 0xff),
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from([22, 3, 1, 255, 255]),
    ]) {
      const socket = connect(port, names[0]);
      socket.on('error', () => {});
      socket.resume();
      socket.end(bytes);
      await once(socket, 'close');
    }
    const hello = { kind: 'hello', version: 1, node: 'n', hostName: 'h', to: names[0], epoch: 1, session: 1 };
    for (const frames of [
      [Buffer.from([0xff, 0xff, 0xff, 0xff])],
      [Buffer.from([0, 0, 0, 2, 0x7b, 0x7b])],
      [writeFrame({ kind: 'state', networks: [network(1, 'x')] })],
      [writeFrame({ ...hello, version: 99 })],
      [writeFrame({ ...hello, node: 'node-0' })],
      [writeFrame(hello), writeFrame({ kind: 'state', networks: [{ name: 'prod', endpoints: 'none' }] })],
      [
        writeFrame(hello),
        writeFrame({ kind: 'put', name: 'prod', endpoint: { ...endpoint('x'), mac: 'ff:ff:ff:ff:ff:ff' } }),
      ],
    ]) {
      const socket = secureConnect(key, names[0], port);
      socket.on('error', () => {});
      await once(socket, 'secureConnect');
      socket.resume();
      for (const frame of frames) socket.write(frame);
      if (!socket.closed) await once(socket, 'close');
    }
    await eventually('the reason is told', () => stateOf(one, names[1]) === 'its secret is not the same as here');
    assert.is(stateOf(stranger, names[0]), 'its secret is not the same as here');
    assert.is(seen(one), 'host-2:c', 'nobody else was heard');
    assert.is(seen(stranger), '', 'and the stranger heard nobody');
    two.change('prod', { kind: 'put', endpoint: endpoint('d') });
    await sees(one, 'host-2:c,d');
  } finally {
    await Promise.all([one.close(), stranger.close(), two.close()]);
  }
});

test('what was recorded cannot be said again', async () => {
  const one = start(0);
  const recorded: Buffer[] = [];
  // Between the two stands one who records: he listens as the peer and passes on to it.
  const middle = createServer((socket: Socket) => {
    const out = connect(port, names[0]);
    for (const end of [socket, out]) end.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      recorded.push(bytes);
      out.write(bytes);
    });
    out.on('data', (bytes: Buffer) => socket.write(bytes));
    socket.on('close', () => out.destroy());
  });
  middle.listen(port + 1, names[1]);
  await once(middle, 'listening');
  try {
    one.announce(network(0, 'a'), names);
    const sender = secureConnect(key, names[1], port + 1);
    await once(sender, 'secureConnect');
    sender.write(
      writeFrame({ kind: 'hello', version: 1, node: 'n', hostName: 'h', to: names[0], epoch: 1, session: 1 }),
    );
    sender.write(writeFrame({ kind: 'state', networks: [network(1, 'b')] }));
    await sees(one, 'h:b');
    sender.write(writeFrame({ kind: 'withdraw', name: 'prod' }));
    await sees(one, '');
    sender.destroy();
    const socket = connect(port, names[0]);
    socket.on('error', () => {});
    for (const bytes of recorded) socket.write(bytes);
    socket.end();
    socket.resume();
    await once(socket, 'close');
    assert.is(seen(one), '');
  } finally {
    middle.close();
    await one.close();
  }
});

test.run();
