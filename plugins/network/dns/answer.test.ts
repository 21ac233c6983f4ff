/** What we write is read by dns-packet and by dns2, and what they write by us: same names, types, data. */
import { decode, encode } from 'dns-packet';
import dns2 from 'dns2';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Answer } from './answer.ts';
import { compile } from './compile.ts';
import { Query, questionKey } from './query.ts';
import { formatRdata, parseRecord } from './rdata.ts';
import { resolve } from './resolver.ts';
import { ownerOf, readResponse } from './response.ts';
import { findType, typeName } from './wire.ts';
import { Zone } from './zone.ts';

const names: Readonly<Record<string, readonly string[]>> = {
  one: ['192.0.2.1'],
  four: ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '2001:db8::1', '2001:db8::2'],
  alias: ['CNAME four'],
  text: ['TXT hello world', `TXT ${'x'.repeat(300)}`],
  '_http._tcp.web': ['SRV 1 2 80 one', 'SRV 1 2 81 four'],
  many: Array.from({ length: 200 }, (_, i) => `198.51.100.${i}`),
};

function zoneOf(): Zone {
  const zone = new Zone('net');
  zone.put(
    'all',
    new Map(
      Object.entries(names).map(([name, texts]) => [
        name,
        texts.map((text) => ({ ...parseRecord(text, name), source: { reason: 'test' } })),
      ]),
    ),
  );
  zone.domain = 'shop.internal';
  zone.suffixes = [zone.domain];
  return zone;
}

interface Asked {
  readonly message: Buffer;
  readonly query: Query;
  readonly answer: Answer;
}

function ask(zone: Zone, name: string, type: string, edns = true): Asked {
  const opt = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: 4096,
    flags: 0,
    ednsVersion: 0,
    extendedRcode: 0,
    flag_do: false,
    options: [],
  };
  const message = encode({
    type: 'query',
    id: 4711,
    flags: 0x100,
    questions: [{ name, type: type as 'A' }],
    ...(edns ? { additionals: [opt as never] } : {}),
  });
  const query = new Query();
  assert.is(query.read(message, 0, message.length), 'plain');
  const resolution = resolve([zone], { name: name.toLowerCase(), type: findType(type) ?? 0, class: 1 });
  assert.is(resolution.kind, 'answer');
  if (resolution.kind !== 'answer') throw new Error('unreachable');
  return { message, query, answer: compile(resolution, questionKey(message, 0, query.questionEnd)) };
}

function reply({ message, query, answer }: Asked, limit = query.udpLimit): Buffer {
  const out = Buffer.alloc(70_000, 0xee);
  const length = answer.write(query, message, 0, out, 5, limit, 0);
  return out.subarray(5, 5 + length);
}

/** `four A 192.0.2.1`, by our own reader. */
function readOurs(bytes: Buffer): string[] {
  const response = readResponse(bytes);
  assert.ok(response, 'well-formed');
  return (response?.records ?? []).map(
    (record) =>
      `${ownerOf(bytes, record)} ${typeName(record.type)} ${formatRdata(record.type, bytes, record.dataAt, record.end - record.dataAt)}`,
  );
}

test('every answer reads the same with dns-packet and dns2', () => {
  const zone = zoneOf();
  for (const name of Object.keys(names)) {
    for (const type of ['A', 'AAAA', 'CNAME', 'TXT', 'SRV', 'MX']) {
      const bytes = reply(ask(zone, name, type), 65535);
      const ours = readOurs(bytes);
      const peer = decode(bytes);
      const sections = [
        ...(peer.answers ?? []),
        ...(peer.authorities ?? []),
        ...(peer.additionals ?? []).filter((one) => one.type !== 'OPT'),
      ];
      assert.equal(
        sections.map((one) => `${one.name.replace(/^\.$/, '')} ${one.type}`),
        ours.map((line) => line.split(' ').slice(0, 2).join(' ')),
        `${name} ${type}`,
      );
      for (const [index, one] of sections.entries()) {
        if (one.type === 'A' || one.type === 'AAAA') assert.is(ours[index]?.split(' ')[2], one.data);
        if (one.type === 'CNAME') assert.is(ours[index]?.split(' ')[2], `${one.data}.`);
        if (one.type === 'SRV') {
          assert.is(
            ours[index]?.split(' ').slice(2).join(' '),
            `${one.data.priority} ${one.data.weight} ${one.data.port} ${one.data.target}.`,
          );
        }
        if (one.type === 'TXT') {
          const data = (one.data as unknown as Buffer[]).map(String);
          assert.equal(ours[index]?.split(' TXT ')[1], data.map((part) => JSON.stringify(part)).join(' '));
        }
      }
      const other = dns2.Packet.parse(bytes);
      assert.is(other.header.rcode, 0);
      assert.is(
        other.answers.length,
        readResponse(bytes)?.records.filter((record) => record.section === 'answer').length,
      );
      const theirs = other.answers
        .filter((one) => one.type === dns2.Packet.TYPE.A)
        .map((one) => `${one.name} A ${one.address}`);
      if (type === 'A')
        assert.equal(
          theirs,
          ours.filter((line) => line.split(' ')[1] === 'A'),
        );
    }
  }
});

test('what dns-packet and dns2 write is read the same by us', () => {
  const ip = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.'));
  const host = fc
    .array(fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/), { minLength: 1, maxLength: 4 })
    .map((labels) => labels.join('.'));
  fc.assert(
    fc.property(host, fc.array(fc.tuple(host, ip, fc.nat(100_000)), { maxLength: 8 }), (question, records) => {
      const answers = records.map(([name, data, ttl]) => ({ type: 'A' as const, name, data, ttl }));
      const bytes = encode({ type: 'response', id: 1, questions: [{ type: 'A', name: question }], answers });
      assert.equal(
        readOurs(bytes),
        records.map(([name, data]) => `${name} A ${data}`),
      );
      const packet = new dns2.Packet();
      packet.header.qr = 1;
      packet.questions.push({ name: question, type: 1, class: 1 } as never);
      for (const [name, address, ttl] of records)
        packet.answers.push({ name, type: 1, class: 1, ttl, address } as never);
      assert.equal(
        readOurs(packet.toBuffer()),
        records.map(([name, data]) => `${name} A ${data}`),
      );
    }),
  );
});

test('the id, the case of the letters, RD and CD come back; AA and RA are set', () => {
  const zone = zoneOf();
  const asked = ask(zone, 'oNe', 'A');
  asked.message[3] = 0x10;
  const bytes = reply(asked);
  assert.is(bytes.readUInt16BE(0), 4711);
  assert.is(bytes.toString('latin1', 13, 16), 'oNe');
  assert.is(bytes[2], 0x85);
  assert.is(bytes[3], 0x90);
  assert.is(decode(bytes).answers?.[0]?.name, 'oNe');
});

test('addresses rotate: each comes first equally often, A and AAAA by themselves', () => {
  const zone = zoneOf();
  const firsts = new Map<string, number>();
  const a = ask(zone, 'four', 'A');
  const aaaa = ask(zone, 'four', 'AAAA');
  for (let i = 0; i < 400; i++) {
    const seen = readOurs(reply(a)).map((line) => line.split(' ')[2]!);
    assert.is(new Set(seen).size, 4);
    firsts.set(seen[0]!, (firsts.get(seen[0]!) ?? 0) + 1);
    const six = readOurs(reply(aaaa))[0]!.split(' ')[2]!;
    firsts.set(six, (firsts.get(six) ?? 0) + 1);
  }
  for (const ip of ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4']) assert.is(firsts.get(ip), 100, ip);
  for (const ip of ['2001:db8::1', '2001:db8::2']) assert.is(firsts.get(ip), 200, ip);
});

test('where this host comes first, its addresses take turns and the others follow; alone, the others take turns', () => {
  const zone = new Zone('net');
  zone.settings = { ...zone.settings, localFirst: true };
  const put = (contributor: string, elsewhere: boolean, ...ips: string[]) =>
    zone.put(
      contributor,
      new Map([
        ['web', ips.map((ip) => ({ ...parseRecord(`A ${ip}`, 'web'), source: { reason: 'test', elsewhere } }))],
      ]),
    );
  const seen = () =>
    Array.from({ length: 4 }, () =>
      readOurs(reply(ask(zone, 'web', 'A')))
        .map((line) => line.split(' ')[2])
        .join(' '),
    );
  put('far', true, '192.0.2.8', '192.0.2.9');
  put('near', false, '192.0.2.1', '192.0.2.2');
  assert.equal(
    new Set(seen()),
    new Set(['192.0.2.1 192.0.2.2 192.0.2.8 192.0.2.9', '192.0.2.2 192.0.2.1 192.0.2.8 192.0.2.9']),
  );
  put('near', false, '192.0.2.1');
  assert.equal(new Set(seen()), new Set(['192.0.2.1 192.0.2.8 192.0.2.9']));
  zone.remove('near');
  assert.equal(new Set(seen()), new Set(['192.0.2.8 192.0.2.9', '192.0.2.9 192.0.2.8']));
});

test('addresses behind a CNAME rotate too', () => {
  const zone = zoneOf();
  const asked = ask(zone, 'alias', 'A');
  const firsts = new Set(Array.from({ length: 4 }, () => readOurs(reply(asked))[1]));
  assert.is(firsts.size, 4);
});

test('an answer that does not fit is cut with TC, whole records kept, and OPT too', () => {
  const zone = zoneOf();
  for (const [edns, limit] of [
    [true, 1232],
    [false, 512],
  ] as const) {
    const asked = ask(zone, 'many', 'A', edns);
    const bytes = reply(asked);
    assert.ok(bytes.length <= limit, `${bytes.length}`);
    const response = readResponse(bytes);
    assert.ok(response?.truncated);
    assert.is(response?.opt !== undefined, edns);
    assert.is(response?.records.length, Math.floor((limit - asked.query.questionEnd - (edns ? 11 : 0)) / 16));
    assert.is(readResponse(reply(asked, 65535))?.records.length, 200, 'over TCP all of it');
  }
  const text = reply(ask(zone, 'text', 'TXT', false), 100);
  assert.ok(readResponse(text)?.truncated);
});

test('negative answers carry the SOA of their zone', () => {
  const zone = zoneOf();
  for (const [name, rcode] of [
    ['one.shop.internal', 0],
    ['nosuch.shop.internal', 3],
  ] as const) {
    const bytes = reply(ask(zone, name, 'AAAA'));
    const response = readResponse(bytes);
    assert.is(response?.rcode, rcode);
    assert.equal(
      response?.records.map((record) => `${record.section} ${ownerOf(bytes, record)} ${typeName(record.type)}`),
      ['authority shop.internal SOA'],
    );
  }
});

test('a response cut at any byte, or mutated, is refused or read without harm', () => {
  const bytes = reply(ask(zoneOf(), '_http._tcp.web', 'SRV'), 65535);
  for (let length = 0; length < bytes.length; length++)
    assert.is(readResponse(bytes.subarray(0, length)), undefined, `${length}`);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
      const copy = Buffer.from(bytes);
      for (const [at, value] of changes) copy[at] = value;
      const response = readResponse(copy);
      for (const record of response?.records ?? [])
        formatRdata(record.type, copy, record.dataAt, record.end - record.dataAt);
    }),
    { numRuns: 3000 },
  );
});

test.run();
