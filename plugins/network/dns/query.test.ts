import { encode, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Query, questionKey, sameQuestion } from './query.ts';

function message(name: string, type = 'A', extra: Partial<Packet> = {}): Buffer {
  return encode({ type: 'query', id: 7, flags: 0x100, questions: [{ name, type: type as 'A' }], ...extra });
}

function withOpt(name: string, udpPayloadSize: number, flags = 0, ednsVersion = 0): Buffer {
  const opt = {
    type: 'OPT',
    name: '.',
    udpPayloadSize,
    flags,
    ednsVersion,
    extendedRcode: 0,
    flag_do: false,
    options: [],
  } as const;
  return message(name, 'A', { additionals: [opt as never] });
}

function read(bytes: Buffer): { verdict: string; query: Query } {
  const query = new Query();
  return { verdict: query.read(bytes, 0, bytes.length), query };
}

test('an ordinary question is plain, wherever it lies in a buffer', () => {
  const bytes = message('Web.Example');
  const larger = Buffer.concat([Buffer.alloc(33, 255), bytes, Buffer.alloc(9, 255)]);
  const query = new Query();
  assert.is(query.read(larger, 33, bytes.length), 'plain');
  assert.is(query.questionEnd, bytes.length);
  assert.is(query.type, 1);
  assert.ok(query.recursionDesired && !query.hasEdns);
  const hash = query.hash;
  assert.is(read(message('wEB.eXAMPLE')).query.hash, hash, 'letter case does not count');
  assert.is.not(read(message('web.example', 'AAAA')).query.hash, hash);
  assert.is.not(read(withOpt('web.example', 1232, 0x8000)).query.hash, hash, 'DO counts');
});

test('keys are equal for names that differ in case alone', () => {
  const one = message('Web.Example');
  const key = questionKey(message('wEB.example'), 0, one.length);
  assert.ok(sameQuestion(key, one, 0, one.length));
  assert.not(sameQuestion(key, message('web.examplf'), 0, one.length));
  assert.not(sameQuestion(key, message('Web.Example', 'AAAA'), 0, one.length));
  assert.not(sameQuestion(key, message('Web.Exampl'), 0, one.length - 1));
});

test('EDNS sizes are kept within 512 and 1232', () => {
  const limits: [number, number][] = [
    [1, 512],
    [511, 512],
    [900, 900],
    [1232, 1232],
    [65535, 1232],
  ];
  for (const [given, limit] of limits) {
    const { verdict, query } = read(withOpt('web', given));
    assert.is(verdict, 'plain');
    assert.is(query.udpLimit, limit);
  }
  assert.is(read(withOpt('web', 1232, 0, 1)).verdict, 'odd');
});

test('what is not an ordinary question is told apart', () => {
  const response = message('web');
  response[2] = 0x81;
  assert.is(read(response).verdict, 'ignored');
  assert.is(read(Buffer.alloc(11)).verdict, 'ignored');
  const notify = message('web');
  notify[2] = 0x20;
  assert.is(read(notify).verdict, 'odd');
  const two = message('web');
  two[5] = 2;
  assert.is(read(two).verdict, 'odd');
  const pointer = Buffer.concat([message('').subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
  assert.is(read(pointer).verdict, 'broken');
  const chaos = message('web');
  chaos[chaos.length - 1] = 3;
  assert.is(read(chaos).verdict, 'odd');
  assert.is(read(chaos).query.hash, -1);
});

test('a message cut at any byte is never plain', () => {
  for (const whole of [message('web.app.example'), withOpt('web.app.example', 1232)]) {
    for (let length = 0; length < whole.length; length++) {
      const { verdict } = read(Buffer.from(whole.subarray(0, length)));
      assert.is.not(verdict, 'plain', `${length} bytes`);
    }
  }
});

test('no bytes make it throw', () => {
  const query = new Query();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      query.read(bytes, 0, bytes.length);
      assert.ok(query.questionEnd <= Math.max(12, bytes.length));
    }),
    { numRuns: 2000 },
  );
});

test.run();
