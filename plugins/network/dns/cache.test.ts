import { decode, encode, type Answer as PeerAnswer } from 'dns-packet';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Answer } from './answer.ts';
import { AnswerCache, answerFromResponse, defaultCacheLimits } from './cache.ts';
import { Query, questionKey } from './query.ts';
import { readResponse } from './response.ts';

interface Made {
  readonly bytes: Buffer;
  readonly lifetime: number;
  readonly answer: Answer;
}

const cache = new AnswerCache();
const question = { name: 'www.example.org', type: 'A' } as const;
const asked = encode({ type: 'query', id: 1, flags: 0x100, questions: [question] });

function soa(ttl: number, minimum: number): PeerAnswer {
  const data = { mname: 'ns.example.org', rname: 'h.example.org', serial: 1, refresh: 1, retry: 1, expire: 1, minimum };
  return { type: 'SOA', name: 'example.org', ttl, data };
}

function made(flags: number, answers: PeerAnswer[], authorities: PeerAnswer[] = [], now = 100): Made {
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
  const bytes = encode({
    type: 'response',
    id: 9,
    flags,
    questions: [question],
    answers,
    authorities,
    additionals: [opt as never],
  });
  const response = readResponse(bytes);
  assert.ok(response);
  if (response === undefined) throw new Error('unreachable');
  const key = questionKey(bytes, 0, response.questionEnd);
  const lifetime = cache.lifetime(bytes, response);
  const answer = answerFromResponse(bytes, response, { key }, '192.0.2.53', now, lifetime);
  assert.ok(answer);
  if (answer === undefined) throw new Error('unreachable');
  return { bytes, lifetime, answer };
}

function written(answer: Answer, now: number): ReturnType<typeof decode> {
  const query = new Query();
  query.read(asked, 0, asked.length);
  const out = Buffer.alloc(2000);
  return decode(out.subarray(0, answer.write(query, asked, 0, out, 0, 1232, now)));
}

const ttls = (packet: ReturnType<typeof decode>): (number | undefined)[] =>
  [...(packet.answers ?? []), ...(packet.authorities ?? [])].map((record) =>
    'ttl' in record ? record.ttl : undefined,
  );

test('an answer lives as long as its shortest TTL, which counts down', () => {
  const { answer, lifetime } = made(0x180, [
    { type: 'CNAME', name: 'www.example.org', ttl: 300, data: 'web.example.org' },
    { type: 'A', name: 'web.example.org', ttl: 60, data: '192.0.2.1' },
  ]);
  assert.is(lifetime, 60);
  assert.equal(ttls(written(answer, 100)), [300, 60]);
  assert.equal(ttls(written(answer, 130)), [270, 30]);
  assert.equal(ttls(written(answer, 130)), [270, 30], 'once a second, not once a reply');
  assert.equal(
    written(answer, 130).answers?.map((one) => one.name),
    ['www.example.org', 'web.example.org'],
  );
  assert.is(written(answer, 130).flag_aa, false);
});

test('a negative answer lives as RFC 2308 says, and not without an SOA', () => {
  assert.is(made(0x183, [], [soa(900, 30)]).lifetime, 30);
  assert.is(made(0x180, [], [soa(20, 300)]).lifetime, 20);
  assert.is(made(0x183, [], []).lifetime, 0);
  assert.equal(ttls(written(made(0x183, [], [soa(900, 30)]).answer, 100)), [30]);
});

test('failures live a second; truncated, refused and TTL 0 not at all', () => {
  const a: PeerAnswer = { type: 'A', name: 'www.example.org', ttl: 60, data: '192.0.2.1' };
  assert.is(made(0x182, []).lifetime, 1);
  assert.is(made(0x185, []).lifetime, 0);
  assert.is(made(0x380, [a]).lifetime, 0);
  assert.is(made(0x180, [{ ...a, ttl: 0 }]).lifetime, 0);
});

test('an expired answer is not found', () => {
  const own = new AnswerCache();
  const { answer } = made(0x180, [{ type: 'A', name: 'www.example.org', ttl: 60, data: '192.0.2.1' }]);
  own.put('k', answer);
  assert.is(own.find('k', 159), answer);
  assert.is(own.find('k', 160), undefined);
  assert.is(own.size, 0);
  assert.is(own.bytes, 0);
});

test('memory is bounded: the oldest go, what is used stays a round longer', () => {
  const { answer } = made(0x180, [{ type: 'A', name: 'www.example.org', ttl: 60, data: '192.0.2.1' }]);
  const own = new AnswerCache({ ...defaultCacheLimits, maxBytes: answer.size * 10 });
  const fresh = (): Answer => made(0x180, [{ type: 'A', name: 'www.example.org', ttl: 60, data: '192.0.2.1' }]).answer;
  const used = fresh();
  own.put('used', used);
  used.used = true;
  for (let i = 0; i < 12; i++) own.put(`k${i}`, fresh());
  assert.ok(own.bytes <= answer.size * 10);
  assert.is(own.find('used', 100), used);
  assert.is(own.find('k0', 100), undefined);
  own.put('k11', fresh());
  assert.is(own.size, 10, 'a repeat replaces');
});

test.run();
