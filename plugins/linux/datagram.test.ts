import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { boundPort, DatagramArena, openUdp, readSockaddr, sendDatagram, serveDatagrams, sockaddr } from './datagram.ts';

const loopback = Uint8Array.from([127, 0, 0, 1]);

test('a batch is answered, each to its own peer', async () => {
  const fd = openUdp({ address: loopback, port: 0 });
  const port = boundPort(fd);
  const arena = new DatagramArena(8, 64);
  let truncated = 0;
  const server = serveDatagrams(fd, () => {
    for (let count = arena.receive(fd); count > 0; count = arena.receive(fd)) {
      for (let slot = count - 1; slot >= 0; slot--) {
        if (arena.isTruncated(slot)) truncated++;
        const start = slot * arena.slotSize;
        const size = Math.min(arena.lengthOf(slot), arena.slotSize);
        arena.received.copy(arena.replies, arena.replyOffset, start, start + size);
        arena.reply(slot, size);
      }
      assert.is(arena.flush(fd), count);
    }
  });
  const clients = Array.from({ length: 20 }, () => createSocket('udp4'));
  const replies = await Promise.all(
    clients.map(async (client, index) => {
      const text = index === 0 ? 'x'.repeat(100) : `client ${index}`;
      client.send(text, port, '127.0.0.1');
      const [message] = (await once(client, 'message')) as [Buffer];
      client.close();
      return [text.slice(0, 64), String(message)];
    }),
  );
  for (const [sent, got] of replies) assert.is(got, sent);
  assert.is(truncated, 1);
  server.close();
  server.close();
});

test('a peer that is not there yet does not end the watch', async () => {
  const probe = createSocket('udp4').bind(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  const fd = openUdp({ port: 0, connectTo: { address: loopback, port } });
  const arena = new DatagramArena(8, 64);
  let wake = (): void => {};
  let received = 0;
  const watch = serveDatagrams(fd, () => {
    received += arena.receive(fd);
    wake();
  });
  const next = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  let woken = next();
  sendDatagram(fd, Buffer.from('refused'), null);
  await woken;
  assert.is(received, 0, 'an error, no datagram');
  const peer = createSocket('udp4').bind(port, '127.0.0.1');
  await once(peer, 'listening');
  peer.on('message', (message, from) => peer.send(message, from.port, from.address));
  woken = next();
  assert.ok(sendDatagram(fd, Buffer.from('again'), null));
  await woken;
  assert.is(received, 1);
  watch.close();
  peer.close();
});

test('addresses go into a sockaddr and come out again', () => {
  for (const address of [loopback, Uint8Array.from({ length: 16 }, (_, index) => index)]) {
    const back = readSockaddr(sockaddr(address, 5353));
    assert.equal([...back.address, back.port], [...address, 5353]);
  }
  assert.throws(() => openUdp({ address: Uint8Array.from([192, 0, 2, 1]), port: 0 }), /EADDRNOTAVAIL/);
});

test.run();
