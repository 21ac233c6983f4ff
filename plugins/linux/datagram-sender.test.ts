import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DatagramSender } from './datagram-sender.ts';
import { isKernelError } from './errors.ts';

const loopback = Uint8Array.of(127, 0, 0, 1);

test('many datagrams in one buffer arrive one by one', async () => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const received: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on('message', (data) => {
    received.push(data.toString());
    if (received.length === 100) resolve();
  });
  const sender = new DatagramSender({ kind: 'udp', address: loopback, port: socket.address().port });
  const texts = Array.from({ length: 100 }, (_, index) => `message ${index}${'x'.repeat(index)}`);
  let length = 0;
  const ends = texts.map((text) => (length += text.length));
  assert.is(sender.send(Buffer.from(texts.join('')), ends, 0), 100);
  await promise;
  assert.equal(received, texts);
  sender.close();
  sender.close();
  socket.close();
});

test('nobody there: udp hears of it at the next datagram, a unix socket at once', async () => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  const sender = new DatagramSender({ kind: 'udp', address: loopback, port });
  const send = (): number => sender.send(Buffer.from('x'), [1], 0);
  assert.throws(
    () => {
      for (let attempt = 0; attempt < 100; attempt++) send();
    },
    (error: unknown) => isKernelError(error, 'ECONNREFUSED'),
  );
  sender.close();
  assert.throws(
    () => new DatagramSender({ kind: 'unix', path: '/nonexistent/socket' }),
    (error: unknown) => isKernelError(error, 'ENOENT'),
  );
});

test.run();
