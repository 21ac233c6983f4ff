/** Upstreams on loopback: silent, refusing, slow, lying. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { decode, encode } from 'dns-packet';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { nameToWire } from './name.ts';
import { parseServerAddress, type ServerAddress } from './server-address.ts';
import { FrameReader, frame } from './tcp-frame.ts';
import { isOwnQuery } from './upstream.ts';
import { type GroupReply, questionBytes, UpstreamGroup } from './upstream-group.ts';

type Answering = (query: Buffer, port: number) => Buffer[];

async function server(answer: Answering): Promise<{ address: ServerAddress; asked: () => number; socket: Socket }> {
  const socket = createSocket('udp4');
  let count = 0;
  socket.on('message', (query, peer) => {
    count++;
    for (const reply of answer(query, peer.port)) socket.send(reply, peer.port, peer.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return { address: parseServerAddress(`127.0.0.1:${socket.address().port}`), asked: () => count, socket };
}

function reply(query: Buffer, ip: string, flags = 0x8180): Buffer {
  const { id, questions } = decode(query);
  const name = questions?.[0]?.name ?? '';
  return encode({
    type: 'response',
    id: id ?? 0,
    flags: flags & 0x7fff,
    questions: questions ?? [],
    answers: ip === '' ? [] : [{ type: 'A', name, ttl: 60, data: ip }],
  });
}

const asked = { question: questionBytes(nameToWire('www.example.org'), 1), dnssecOk: false, checkingDisabled: false };
const ask = (group: UpstreamGroup): Promise<GroupReply | undefined> =>
  new Promise((resolve) => group.ask(asked, resolve));
const ip = (message: Buffer | undefined): unknown => {
  const record = message && decode(message).answers?.[0];
  return record !== undefined && 'data' in record ? record.data : undefined;
};

test('a dead upstream costs one short wait, then nothing', async () => {
  const dead = await server(() => []);
  const live = await server((query) => [reply(query, '192.0.2.1')]);
  const group = new UpstreamGroup([dead.address, live.address]);
  for (let i = 0; i < 8; i++) assert.is(ip((await ask(group))?.message), '192.0.2.1');
  assert.ok(group.upstreams[0]?.isDown === true || group.upstreams[0]!.score > group.upstreams[1]!.score);
  assert.ok(dead.asked() <= 3, `${dead.asked()} times`);
  assert.is(live.asked(), 8);
  group.close();
  for (const { socket } of [dead, live]) socket.close();
});

test('an upstream that refuses gives way at once; its word counts when there is no better', async () => {
  const refusing = await server((query) => [reply(query, '', 0x8185)]);
  const live = await server((query) => [reply(query, '192.0.2.1')]);
  const both = new UpstreamGroup([refusing.address, live.address]);
  assert.is(ip((await ask(both))?.message), '192.0.2.1');
  both.close();
  const alone = new UpstreamGroup([refusing.address]);
  assert.is((await ask(alone))?.response.rcode, 5);
  alone.close();
  for (const { socket } of [refusing, live]) socket.close();
});

test('answers to other ids and other questions are not believed; the case of letters may differ', async () => {
  const liar = await server((query) => {
    const wrongId = reply(query, '198.51.100.1');
    wrongId.writeUInt16BE((wrongId.readUInt16BE(0) + 1) & 0xffff, 0);
    const wrongName = reply(query, '198.51.100.2');
    wrongName[13] = 0x78;
    const right = reply(query, '192.0.2.1');
    right[13] = right[13]! ^ 0x20;
    return [wrongId, wrongName, right];
  });
  const group = new UpstreamGroup([liar.address]);
  const got = await ask(group);
  assert.is(got?.message[13], 'W'.charCodeAt(0));
  assert.is(got && ip(got.message), '192.0.2.1');
  group.close();
  liar.socket.close();
});

test('ids and ports are not counted up, and our own questions are known again', async () => {
  const seen: { id: number; port: number }[] = [];
  let own = 0;
  const live = await server((query, port) => {
    seen.push({ id: query.readUInt16BE(0), port });
    if (isOwnQuery(port, query.readUInt16BE(0))) own++;
    return [reply(query, '192.0.2.1')];
  });
  const group = new UpstreamGroup([live.address]);
  for (let i = 0; i < 32; i++) await ask(group);
  assert.is(own, 32);
  assert.ok(new Set(seen.map(({ id }) => id)).size > 28);
  assert.ok(new Set(seen.map(({ port }) => port)).size > 3);
  assert.ok(seen.filter(({ id }, i) => i > 0 && id === seen[i - 1]!.id + 1).length < 3);
  group.close();
  live.socket.close();
});

test('a truncated answer is asked for again over TCP', async () => {
  const tcp = createServer((socket) => {
    const reader = new FrameReader();
    socket.on('data', (chunk: Buffer) => {
      // Byte by byte, as a stream may arrive.
      for (const byte of chunk)
        for (const query of reader.push(Buffer.from([byte]))) socket.write(frame(reply(query, '192.0.2.2')));
    });
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const { port } = tcp.address() as { port: number };
  const udp = createSocket('udp4');
  udp.on('message', (query, peer) => udp.send(reply(query, '', 0x8380), peer.port, peer.address));
  udp.bind(port, '127.0.0.1');
  await once(udp, 'listening');
  for (const text of [`127.0.0.1:${port}`, `tcp://127.0.0.1:${port}`]) {
    const group = new UpstreamGroup([parseServerAddress(text)]);
    const got = await ask(group);
    assert.is(got && ip(got.message), '192.0.2.2', text);
    group.close();
  }
  udp.close();
  tcp.close();
});

test('a server without EDNS is asked plainly from then on (RFC 6891 §7)', async () => {
  const old = await server((query) => [query[11] === 0 ? reply(query, '192.0.2.3') : reply(query, '', 0x8181)]);
  const group = new UpstreamGroup([old.address]);
  const first = await ask(group);
  assert.is(first && ip(first.message), '192.0.2.3');
  await ask(group);
  assert.is(old.asked(), 3);
  group.close();
  old.socket.close();
});

test.run();
