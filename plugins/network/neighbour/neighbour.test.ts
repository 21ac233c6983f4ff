import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeArpClaim, encodeArpRequest } from './arp.ts';
import { internetChecksum } from './checksum.ts';
import { decodeIp6, encodeIp6, multicastMac } from './ip6.ts';
import { decodeNdpClaim, encodeAnnouncement, encodeProbe } from './ndp.ts';

const mac = '02:00:5e:00:53:01';

test('a request is what RFC 826 draws, and tells its sender', () => {
  const packet = encodeArpRequest({ senderMac: mac, senderIp: '192.0.2.1', targetIp: '192.0.2.7' });
  assert.is(packet.toString('hex'), '00010800060400010200 5e005301c0000201000000000000c0000207'.replaceAll(' ', ''));
  assert.equal(decodeArpClaim(packet), { mac, ip: '192.0.2.1' });
});

test('a probe claims nothing (RFC 5227 §1.1)', () => {
  const probe = encodeArpRequest({ senderMac: mac, senderIp: '0.0.0.0', targetIp: '192.0.2.7' });
  assert.is(decodeArpClaim(probe), undefined);
});

test('what is no ARP of IPv4 over Ethernet is nothing', () => {
  const packet = encodeArpRequest({ senderMac: mac, senderIp: '192.0.2.1', targetIp: '192.0.2.7' });
  for (let length = 0; length < packet.length; length += 1)
    assert.is(decodeArpClaim(packet.subarray(0, length)), undefined);
  packet[4] = 8;
  assert.is(decodeArpClaim(packet), undefined);
});

test('a question about duplicates goes to the solicited-node group and claims nothing (RFC 4862 §5.4.2)', () => {
  const { destination, packet } = encodeProbe('2001:db8::1:2abc');
  assert.is(destination, 'ff02::1:ff01:2abc');
  assert.is(multicastMac(destination), '33:33:ff:01:2a:bc');
  const ip6 = decodeIp6(packet);
  assert.is(ip6?.source, '::');
  assert.is(ip6?.hopLimit, 255);
  assert.is(ip6?.payload[0], 135);
  assert.is(decodeNdpClaim(packet), undefined);
});

test('an advertisement and a solicitation with a source claim their address', () => {
  const packet = encodeAnnouncement('2001:db8::7', mac);
  assert.equal(decodeNdpClaim(packet), { ip: '2001:db8::7', mac });
  assert.is(packet.readUInt32BE(44), 0x20000000, 'overrides what was known, and answers nobody');
  const payload = Buffer.from(
    `8700000000000000${'20010db8000000000000000000000009'}0101${mac.replaceAll(':', '')}`,
    'hex',
  );
  const asking = encodeIp6(
    { source: '2001:db8::8', destination: 'ff02::1:ff00:9', nextHeader: 58, hopLimit: 255, payload },
    2,
  );
  assert.equal(decodeNdpClaim(asking), { ip: '2001:db8::8', mac });
});

test('a message that has passed a router is nobody’s word (RFC 4861 §7.1)', () => {
  const packet = encodeAnnouncement('2001:db8::7', mac);
  packet[7] = 254;
  assert.is(decodeNdpClaim(packet), undefined);
});

test('the checksum over pseudo header and payload comes out even', () => {
  const packet = encodeAnnouncement('2001:db8::7', mac);
  const pseudo = Buffer.concat([packet.subarray(8, 40), Buffer.from([0, 0, 0, 32, 0, 0, 0, 58]), packet.subarray(40)]);
  assert.is(internetChecksum(pseudo), 0);
});

test('no bytes make the readers throw', () => {
  const whole = encodeAnnouncement('2001:db8::7', mac);
  for (let length = 0; length < whole.length; length += 1) decodeNdpClaim(whole.subarray(0, length));
  void fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => void decodeNdpClaim(Buffer.from(bytes))));
  void fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void decodeArpClaim(Buffer.from(bytes))));
  void fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
      const damaged = Buffer.from(whole);
      for (const [at, value] of changes) damaged[at] = value;
      decodeNdpClaim(damaged);
    }),
  );
});

test.run();
