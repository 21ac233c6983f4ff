/** Whole messages in, whole replies out; mutated and cut ones by the thousand. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { decode, encode } from 'dns-packet';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Forwarder } from './forwarder.ts';
import { QueryLog, type QueryLogEntry } from './query-log.ts';
import { parseRecord } from './rdata.ts';
import { type Asker, Responder } from './responder.ts';
import { parseServerAddress } from './server-address.ts';
import { Stats } from './stats.ts';
import { View } from './view.ts';
import { Zone } from './zone.ts';

function makeAsker(transport: 'udp' | 'tcp' = 'udp', forwarder = new Forwarder([], () => 0)): Asker {
  const zone = new Zone('net');
  const source = { reason: 'alias' };
  zone.put(
    'x',
    new Map([['web', ['192.0.2.1', '192.0.2.2'].map((text) => ({ ...parseRecord(text, 'web'), source }))]]),
  );
  const view = new View({ label: 'net', zones: [zone], forwarder, stats: new Stats() });
  return { view, transport, client: { pending: 0 }, address: '192.0.2.9', port: 5353 };
}

const log = new QueryLog();
const responder = new Responder(log, () => 0);

function question(name: string, type = 'A', class_ = 'IN'): Buffer {
  return encode({
    type: 'query',
    id: 99,
    flags: 0x100,
    questions: [{ name, type: type as 'A', class: class_ as 'IN' }],
  });
}

const rcodeOf = (reply: Buffer | undefined): number | undefined => reply && reply[3]! & 15;

/** The reply that comes at once, or undefined. */
function now(message: Buffer, asker: Asker, by = responder): Buffer | undefined {
  let reply: Buffer | undefined;
  by.respond(message, asker, (bytes, length) => {
    reply = Buffer.from(bytes.subarray(0, length));
  });
  return reply;
}

test('a question of every kind gets its rcode', async () => {
  const asker = makeAsker();
  assert.is(rcodeOf(now(question('web'), asker)), 0);
  assert.is(rcodeOf(now(question('nosuch'), asker)), 3);
  assert.is(rcodeOf(now(question('web', 'A', 'CH'), asker)), 5);
  assert.is(rcodeOf(now(question('web', 'A', 'ANY'), asker)), 0);
  assert.is(rcodeOf(now(question('web', 'AXFR'), asker)), 5);
  assert.is(rcodeOf(now(question('example.org'), asker)), 2, 'nobody to ask');
  const notify = question('web');
  notify[2] = 0x21;
  const reply = now(notify, asker) as Buffer;
  assert.is(rcodeOf(reply), 4);
  assert.is(reply[2]! & 0x78, 0x20, 'the opcode comes back');
  const two = Buffer.concat([question('web'), question('web').subarray(12)]);
  two[5] = 2;
  assert.is(rcodeOf(now(two, asker)), 1, 'RFC 9619');
});

test('a response, and what is shorter than a header, gets no reply', () => {
  const asker = makeAsker();
  assert.is(now(Buffer.alloc(11), asker), undefined);
  assert.is(now(now(question('web'), asker) as Buffer, asker), undefined);
});

test('EDNS of a later version gets BADVERS, with ours', () => {
  const opt = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: 1232,
    flags: 0,
    ednsVersion: 1,
    extendedRcode: 0,
    flag_do: false,
    options: [],
  };
  const asked = encode({ type: 'query', id: 1, questions: [{ name: 'web', type: 'A' }], additionals: [opt as never] });
  const reply = decode(now(asked, makeAsker()) as Buffer);
  const back = reply.additionals?.[0] as { extendedRcode?: number; ednsVersion?: number };
  assert.is(back.extendedRcode, 1);
  assert.is(back.ednsVersion, 0);
  assert.is(reply.answers?.length, 0);
});

test('RFC 6891 §6.1.1: one OPT record, of the root; other additional records do no harm', () => {
  const opt = Buffer.from('00002904d0000000000000', 'hex');
  const other = Buffer.from('017800000100010000000000047f000001', 'hex');
  const ask = (...records: Buffer[]): number | undefined => {
    const message = Buffer.concat([question('web'), ...records]);
    message[11] = records.length;
    return rcodeOf(now(message, makeAsker()));
  };
  assert.is(ask(opt), 0);
  assert.is(ask(other), 0);
  assert.is(ask(other, opt), 0);
  assert.is(ask(opt, opt), 1);
  assert.is(ask(Buffer.concat([Buffer.from('0161', 'hex'), opt])), 1, 'an owner');
  assert.is(ask(opt.subarray(0, 9)), 1, 'cut off');
  assert.is(ask(other, opt.subarray(0, 9)), 1, 'cut off behind another');
});

test('a client has a bounded number of questions under way', async () => {
  const upstream = createSocket('udp4').bind(0, '127.0.0.1');
  await once(upstream, 'listening');
  const held: (() => void)[] = [];
  upstream.on('message', (message, peer) => {
    message[2] = 0x81;
    message[3] = 0x83;
    held.push(() => upstream.send(message, peer.port, peer.address));
  });
  const servers = [parseServerAddress(`127.0.0.1:${upstream.address().port}`)];
  const forwarder = new Forwarder([{ domain: '', servers }], () => 0);
  const strict = new Responder(log, () => 0, { pendingPerClient: 2, pendingInAll: 10 });
  const asker = makeAsker('udp', forwarder);
  const later = (name: string): Promise<Buffer> =>
    new Promise((resolve) => {
      strict.respond(question(name), asker, (bytes, length) => resolve(Buffer.from(bytes.subarray(0, length))));
    });
  const waiting = [1, 2].map((n) => later(`${n}.example.org`));
  assert.is(strict.pending, 2);
  assert.is(rcodeOf(now(question('3.example.org'), asker, strict)), 5);
  assert.is(rcodeOf(now(question('web'), asker, strict)), 0, 'what we know is answered still');
  while (held.length < 2) await new Promise((resolve) => setImmediate(resolve));
  for (const release of held) release();
  assert.equal((await Promise.all(waiting)).map(rcodeOf), [3, 3]);
  assert.is(strict.pending, 0);
  const last = later('4.example.org');
  forwarder.close();
  while (held.length < 3) await new Promise((resolve) => setImmediate(resolve));
  held[2]!();
  assert.is(rcodeOf(await last), 3, 'asked upstream again, and answered although the forwarder is not used any more');
  upstream.close();
});

test('the log says who asked, what, and why it was answered so', async () => {
  const entries: QueryLogEntry[] = [];
  const end = log.subscribe((entry) => entries.push(entry));
  now(question('WEB'), makeAsker());
  now(question('nosuch'), makeAsker());
  end();
  now(question('web'), makeAsker());
  assert.equal(
    entries.map(({ network, client, name, type, rcode, outcome, source, answers }) => [
      network,
      client,
      name,
      type,
      rcode,
      outcome,
      source,
      answers,
    ]),
    [
      ['net', '192.0.2.9', 'web.', 'A', 'NOERROR', 'local', 'alias', 2],
      ['net', '192.0.2.9', 'nosuch.', 'A', 'NXDOMAIN', 'nxdomain', 'no such container', 0],
    ],
  );
});

test('10 000 mutated messages get a well-formed reply or none', () => {
  const asker = makeAsker();
  const opt = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: 1232,
    flags: 0,
    ednsVersion: 0,
    extendedRcode: 0,
    flag_do: false,
    options: [],
  };
  const seeds = [
    question('web'),
    question('a.b.c.nosuch.invalid'),
    question('_http._tcp.web', 'SRV'),
    encode({ type: 'query', id: 3, questions: [{ name: 'web', type: 'AAAA' }], additionals: [opt as never] }),
  ];
  let replies = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 5 }),
      fc.nat(80),
      (seed, changes, length) => {
        const message = Buffer.from(length > 60 ? seed : seed.subarray(0, Math.max(length, 1)));
        for (const [at, value] of changes) if (at < message.length) message[at] = value;
        const reply = now(Buffer.from(message), asker);
        if (reply === undefined) return;
        replies++;
        assert.ok((reply[2]! & 0x80) !== 0 && reply.length >= 12 && reply.length <= 1232);
        assert.is(reply.readUInt16BE(0), message.readUInt16BE(0));
        decode(reply);
      },
    ),
    { numRuns: 10_000 },
  );
  assert.ok(replies > 1000, `${replies} replies`);
});

test.run();
