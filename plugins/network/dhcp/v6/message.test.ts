import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeDatagram6, encodeDatagram6 } from './datagram.ts';
import { decodeDhcp6, encodeDhcp6 } from './message.ts';

const clientId = Buffer.from('0003000102005e005301', 'hex');
const iaid = 0x01020304;

function option(code: number, ...parts: readonly (Buffer | readonly number[])[]): Buffer {
  const value = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const header = Buffer.alloc(4);
  header.writeUInt16BE(code, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value]);
}

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');
const address = bytes('20010db8 00000000 00000000 00000050');

/** A reply as a server writes it: address for 120 s, T1 60, T2 96. */
function reply(...more: readonly Buffer[]): Buffer {
  const given = option(5, address, bytes('00000050 00000078'));
  return Buffer.concat([
    bytes('07 0a0b0c'),
    option(1, clientId),
    option(2, bytes('0003000102005e005309')),
    option(3, bytes('01020304 0000003c 00000060'), given),
    option(23, bytes('20010db8 00000000 00000000 00000001 20010db8 00000000 00000000 00000002')),
    ...more,
  ]);
}

test('a solicit with what RFC 8415 §18.2.1 wants', () => {
  const message = encodeDhcp6({
    type: 'solicit',
    transaction: 0x0a0b0c,
    clientId,
    iaid,
    address: '2001:db8::50',
    rapidCommit: true,
    hostName: 'web',
    elapsedMs: 1234,
  });
  assert.is(message.toString('hex', 0, 4), '010a0b0c');
  for (const part of [
    option(1, clientId),
    option(3, bytes('01020304 00000000 00000000'), option(5, address, bytes('00000000 00000000'))),
    option(8, [0, 123]),
    option(6, [0, 23]),
    option(14),
    option(39, [0, 3, 0x77, 0x65, 0x62]),
  ])
    assert.ok(message.includes(part), part.toString('hex'));
});

test('a release names server and address, and asks for nothing', () => {
  const serverId = bytes('0003000102005e005309');
  const base = { transaction: 1, clientId, iaid, elapsedMs: 0 };
  const message = encodeDhcp6({ ...base, type: 'release', serverId, address: '2001:db8::50', hostName: 'web' });
  assert.is(message[0], 8);
  assert.ok(message.includes(option(2, serverId)));
  assert.not.ok(message.includes(option(6, [0, 23])));
});

test('elapsed time stays at its highest value', () => {
  const message = encodeDhcp6({ type: 'renew', transaction: 1, clientId, iaid, elapsedMs: 10_000_000 });
  assert.ok(message.includes(option(8, [0xff, 0xff])));
});

test('a reply with everything', () => {
  const decoded = decodeDhcp6(reply(option(14)));
  assert.is(decoded?.type, 'reply');
  assert.is(decoded?.transaction, 0x0a0b0c);
  assert.is(decoded?.clientId, clientId.toString('hex'));
  assert.is(decoded?.rapidCommit, true);
  assert.equal(decoded?.nameServers, ['2001:db8::1', '2001:db8::2']);
  assert.equal(decoded?.associations.get(iaid), {
    status: 0,
    message: undefined,
    renewSeconds: 60,
    rebindSeconds: 96,
    addresses: [{ address: '2001:db8::50', preferredSeconds: 80, validSeconds: 120 }],
  });
});

test('for ever, and addresses that are refused or have ended', () => {
  const forever = option(5, address, bytes('ffffffff ffffffff'));
  const ended = option(5, address, bytes('00000000 00000000'));
  const refused = option(5, address, bytes('00000050 00000078'), option(13, [0, 4], Buffer.from('not here')));
  const association = option(3, bytes('01020304 00000000 00000000'), forever, ended, refused);
  const decoded = decodeDhcp6(Buffer.concat([bytes('02 000001'), association]));
  const { addresses } = decoded?.associations.get(iaid) ?? { addresses: [] };
  assert.equal(addresses, [{ address: '2001:db8::50', preferredSeconds: undefined, validSeconds: undefined }]);
});

test('why not: of the message and of the association', () => {
  const failed = option(3, bytes('01020304 00000000 00000000'), option(13, [0, 2], Buffer.from('no addresses left')));
  const decoded = decodeDhcp6(Buffer.concat([bytes('02 000001'), option(13, [0, 5]), failed]));
  assert.is(decoded?.status, 5);
  assert.is(decoded?.associations.get(iaid)?.status, 2);
  assert.is(decoded?.associations.get(iaid)?.message, 'no addresses left');
});

test('messages of clients, cut ones and ones whose options reach over the end are nothing; no bytes make it throw', () => {
  assert.is(decodeDhcp6(bytes('01 000001')), undefined);
  const whole = reply();
  const ends = new Set<number>();
  for (let at = 4; at < whole.length; at += 4 + whole.readUInt16BE(at + 2)) ends.add(at);
  for (let length = 4; length < whole.length; length += 1)
    assert.is(decodeDhcp6(whole.subarray(0, length)) === undefined, !ends.has(length), `${length} bytes`);
  void fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (some) => void decodeDhcp6(Buffer.from(some))));
  void fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
      const damaged = Buffer.from(whole);
      for (const [at, value] of changes) damaged[at] = value;
      decodeDhcp6(damaged);
    }),
  );
});

test('a datagram comes back as it went, and cut ones are refused', () => {
  const datagram = {
    source: 'fe80::1',
    sourcePort: 546,
    destination: 'ff02::1:2',
    destinationPort: 547,
    payload: Buffer.from('hello'),
  };
  const packet = encodeDatagram6(datagram);
  assert.equal(decodeDatagram6(packet), datagram);
  for (let length = 0; length < packet.length; length += 1)
    assert.is(decodeDatagram6(packet.subarray(0, length)), undefined);
  void fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (some) => void decodeDatagram6(Buffer.from(some))));
});

test.run();
