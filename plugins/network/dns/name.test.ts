import { encode } from 'dns-packet';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatIp, parseIp } from '../address/ip.ts';
import {
  findReversedIp,
  findWire,
  nameToWire,
  parentName,
  readName,
  reverseName,
  splitLabels,
  stripSuffix,
} from './name.ts';

const label = fc.stringMatching(/^[a-z0-9_-]{1,20}$/);
const names = fc.array(label, { minLength: 0, maxLength: 8 }).map((labels) => labels.join('.'));

test('text and wire form give each other, and the peer agrees', () => {
  fc.assert(
    fc.property(names, fc.nat(20), (text, offset) => {
      const wire = nameToWire(text);
      const message = Buffer.concat([Buffer.alloc(offset, 7), wire, Buffer.from([1, 2])]);
      assert.equal(readName(message, offset), { name: text, next: offset + wire.length });
      const peer = encode({ type: 'query', questions: [{ type: 'A', name: text }] });
      assert.equal(wire, peer.subarray(12, -4));
    }),
  );
});

test('any bytes in labels survive as text', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 63 }), (bytes) => {
      const wire = Buffer.from([bytes.length, ...bytes, 3, 0x63, 0x6f, 0x6d, 0]);
      const text = readName(wire, 0)?.name ?? '';
      const lower = Buffer.from(wire.map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte)));
      lower[0] = bytes.length;
      assert.equal(nameToWire(text), lower);
      assert.is(splitLabels(text).length, 2);
    }),
  );
});

test('what is no name is refused', () => {
  for (const text of ['a..b', '.a', 'a'.repeat(64), `${'a'.repeat(60)}.`.repeat(5), 'ü\u{1f600}']) {
    assert.is(findWire(text), undefined, text);
  }
  assert.equal(findWire('web.'), findWire('web'));
});

test('pointers go backwards only, so nothing loops', () => {
  const loops = [
    [0xc0, 0],
    [1, 0x61, 0xc0, 0],
    [0xc0, 2, 0xc0, 0],
    [0xc0, 4, 0, 0, 0xc0, 0],
    [0xc0],
    [0x41, 0],
    [0x80, 0],
  ];
  for (const bytes of loops) assert.is(readName(Buffer.from(bytes), 0), undefined, bytes.join(' '));
  const good = Buffer.from([3, 0x63, 0x6f, 0x6d, 0, 3, 0x77, 0x77, 0x77, 0xc0, 0]);
  assert.equal(readName(good, 5), { name: 'www.com', next: 11 });
  assert.is(readName(Buffer.concat([good, Buffer.from([0xc0, 11])]), 11), undefined, 'to itself');
});

test('no bytes make the reader throw or hang', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, offset) => {
      const read = readName(bytes, offset);
      assert.ok(read === undefined || read.next <= bytes.length);
    }),
    { numRuns: 2000 },
  );
});

test('reverse names and addresses give each other', () => {
  assert.is(reverseName(parseIp('192.0.2.7')), '7.2.0.192.in-addr.arpa');
  const v6 = '7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa';
  assert.is(reverseName(parseIp('2001:db8::7')), v6);
  for (const text of ['192.0.2.7', '2001:db8::7', '::1', '0.0.0.0']) {
    const ip = findReversedIp(reverseName(parseIp(text)));
    assert.is(ip && formatIp(ip), text);
  }
  for (const name of ['0.192.in-addr.arpa', 'x.2.0.192.in-addr.arpa', 'in-addr.arpa', '1.ip6.arpa']) {
    assert.is(findReversedIp(name), undefined, name);
  }
});

test('labels, parents and suffixes', () => {
  assert.equal(splitLabels('a\\.b.c'), ['a\\.b', 'c']);
  assert.is(parentName('a\\.b.c'), 'c');
  assert.is(parentName('c'), '');
  assert.is(parentName(''), undefined);
  assert.is(stripSuffix('web.shop', 'shop'), 'web');
  assert.is(stripSuffix('shop', 'shop'), undefined);
  assert.is(stripSuffix('bookshop', 'shop'), undefined);
  assert.is(stripSuffix('a\\.shop', 'shop'), undefined);
});

test.run();
