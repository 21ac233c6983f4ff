import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeDatagram, encodeDatagram } from './datagram.ts';
import { decodeDhcp, encodeDhcp } from './message.ts';

const mac = '02:00:5e:00:53:01';

/** An answer as a server writes it: header, cookie, options. */
function reply(options: readonly (readonly number[])[]): Buffer {
  const header = Buffer.alloc(240);
  header[0] = 2;
  header[1] = 1;
  header[2] = 6;
  header.writeUInt32BE(7, 4);
  header.set([192, 0, 2, 50], 16);
  header.set([2, 0, 0x5e, 0, 0x53, 1], 28);
  header.writeUInt32BE(0x63825363, 236);
  return Buffer.concat([header, Buffer.from(options.flat()), Buffer.from([255])]);
}

test('a discover has the flag, the identifier and the parameters that RFC 2131 wants', () => {
  const message = encodeDhcp({
    type: 'discover',
    transaction: 0x01020304,
    mac,
    clientId: Buffer.from([1, 2]),
    hostName: 'web',
  });
  assert.ok(message.length >= 300);
  assert.is(message.readUInt32BE(4), 0x01020304);
  assert.is(message.readUInt16BE(10), 0x8000);
  assert.is(message.toString('hex', 240, 243), '350101');
  assert.ok(message.includes(Buffer.from([61, 2, 1, 2])));
  assert.ok(message.includes(Buffer.from([12, 3, 0x77, 0x65, 0x62])));
});

test('an acknowledgement with everything', () => {
  const decoded = decodeDhcp(
    reply([
      [53, 1, 5],
      [54, 4, 192, 0, 2, 1],
      [1, 4, 255, 255, 255, 0],
      [3, 4, 192, 0, 2, 1],
      [6, 8, 192, 0, 2, 1, 192, 0, 2, 2],
      [26, 2, 5, 120],
      [51, 4, 0, 0, 0, 120],
    ]),
  );
  assert.is(decoded?.type, 'ack');
  assert.is(decoded?.address, '192.0.2.50');
  assert.is(decoded?.mac, mac);
  assert.equal(decoded?.dns, ['192.0.2.1', '192.0.2.2']);
  assert.is(decoded?.mtu, 1400);
  assert.is(decoded?.leaseSeconds, 120);
  assert.is(decoded?.renewalSeconds, undefined);
});

test('options in the file field (52), parts of one option joined, padding passed over', () => {
  const message = reply([
    [0, 0],
    [53, 1, 2],
    [52, 1, 1],
    [6, 4, 192, 0, 2, 1],
  ]);
  message.set([6, 4, 192, 0, 2, 2, 255], 108);
  assert.equal(decodeDhcp(message)?.dns, ['192.0.2.1', '192.0.2.2']);
});

test('no bytes make it throw, and every cut is either refused or whole', () => {
  const whole = reply([
    [53, 1, 5],
    [1, 4, 255, 255, 255, 0],
  ]);
  for (let length = 0; length < whole.length; length += 1) decodeDhcp(whole.subarray(0, length));
  void fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void decodeDhcp(Buffer.from(bytes))));
  void fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
      const damaged = Buffer.from(whole);
      for (const [at, value] of changes) damaged[at] = value;
      decodeDhcp(damaged);
    }),
  );
});

test('a datagram comes back as it went, and cut ones are refused', () => {
  const datagram = {
    source: '0.0.0.0',
    sourcePort: 68,
    destination: '255.255.255.255',
    destinationPort: 67,
    payload: Buffer.from('hello'),
  };
  const packet = encodeDatagram(datagram);
  assert.equal(decodeDatagram(packet), datagram);
  for (let length = 0; length < packet.length; length += 1)
    assert.is(decodeDatagram(packet.subarray(0, length)), undefined);
  void fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => void decodeDatagram(Buffer.from(bytes))));
});

test.run();
