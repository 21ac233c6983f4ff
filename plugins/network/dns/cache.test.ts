import { decode, encode, type Answer as PeerAnswer } from 'dns-packet';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Answer } from './answer.ts';
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
  own.put(1, answer);
  assert.equal(own.find(1, answer.key, 159)?.body, answer.body);
  assert.is(own.find(1, Uint8Array.of(0, 0, 1), 159), undefined, 'another question with the same hash');
  assert.is(own.find(1, answer.key, 160), undefined);
  assert.is(own.size, 0);
  assert.is(own.bytes, 0);
});

test('memory is bounded: the oldest go, what is used goes to the front again, and all is found as it was put', () => {
  const own = new AnswerCache({ ...defaultCacheLimits, maxBytes: 4096 });
  // Scattered as the hashes of questions are.
  const hashOf = (n: number): number => Math.imul(n, 0x9e3779b1) & 0x3fffffff;
  const put = (n: number, length: number): void =>
    own.put(
      hashOf(n),
      new Answer({
        key: Uint8Array.of(1, n & 255, n >> 8, 0, 0, 1),
        rcode: n % 4,
        authoritative: false,
        authenticData: n % 2 === 1,
        body: new Uint8Array(length).fill(n),
        counts: [n, 1, 2],
        ttlOffsets: Uint16Array.of(6, 300),
        storedAt: n,
        expiresAt: n + 5000,
        source: `192.0.2.${n % 3}`,
      }),
    );
  const find = (n: number): Answer | undefined => own.find(hashOf(n), Uint8Array.of(1, n & 255, n >> 8, 0, 0, 1), 4000);
  put(60_000, 40);
  for (let n = 1; n < 3000; n++) {
    put(n, (n * 7) % 150);
    assert.ok(own.bytes <= 4096);
    const used = find(60_000);
    assert.is(used?.body.length, 40, `after ${n}`);
    const answer = find(n);
    assert.equal(
      [answer?.rcode, answer?.authenticData, answer?.counts, answer?.storedAt, answer?.expiresAt, answer?.source],
      [n % 4, n % 2 === 1, [n, 1, 2], n, n + 5000, `192.0.2.${n % 3}`],
    );
    assert.equal([...(answer?.ttlOffsets ?? [])], [6, 300]);
    assert.ok(answer?.body.length === (n * 7) % 150 && answer.body.every((byte) => byte === (n & 255)));
  }
  assert.is(find(1), undefined);
  const { size, bytes } = own;
  put(2999, 10);
  assert.is(own.size, size, 'a repeat replaces');
  assert.ok(own.bytes !== bytes);
  put(7, 2000);
  assert.is(own.find(hashOf(7), Uint8Array.of(1, 7, 0, 0, 0, 1), 4000), undefined, 'too big to be worth the rest');
});

test('entries whose hashes meet at the same places: the oldest of them gives way, the others stay', () => {
  const own = new AnswerCache({ ...defaultCacheLimits, maxBytes: 1 << 16 });
  const put = (n: number): void =>
    own.put(
      n << 20,
      new Answer({
        key: Uint8Array.of(n, 0, 1),
        rcode: 0,
        authoritative: false,
        body: Uint8Array.of(n),
        counts: [1, 0, 0],
        storedAt: 0,
        expiresAt: 100,
        source: 'x',
      }),
    );
  for (let n = 1; n <= 6; n++) put(n);
  const found = [1, 2, 3, 4, 5, 6].filter((n) => own.find(n << 20, Uint8Array.of(n, 0, 1), 1)?.body[0] === n);
  assert.equal(found, [3, 4, 5, 6]);
  assert.is(own.size, 4);
});

test.run();
