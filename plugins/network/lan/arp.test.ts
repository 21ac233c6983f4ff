import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeArpSender, encodeArpRequest } from './arp.ts';
import { splitVlan } from './parent.ts';

test('a request is what RFC 826 draws, and tells its sender', () => {
  const packet = encodeArpRequest({ senderMac: '02:00:5e:00:53:01', senderIp: '192.0.2.1', targetIp: '192.0.2.7' });
  assert.is(packet.toString('hex'), '00010800060400010200 5e005301c0000201000000000000c0000207'.replaceAll(' ', ''));
  assert.equal(decodeArpSender(packet), { mac: '02:00:5e:00:53:01', ip: '192.0.2.1' });
});

test('what is no ARP of IPv4 over Ethernet is nothing', () => {
  const packet = encodeArpRequest({ senderMac: '02:00:5e:00:53:01', senderIp: '192.0.2.1', targetIp: '192.0.2.7' });
  for (let length = 0; length < packet.length; length += 1)
    assert.is(decodeArpSender(packet.subarray(0, length)), undefined);
  packet[4] = 8;
  assert.is(decodeArpSender(packet), undefined);
});

test('a dot and a number behind a name is a VLAN of it', () => {
  assert.equal(splitVlan('eth0.10'), { base: 'eth0', id: 10 });
  assert.equal(splitVlan('br.lan.4094'), { base: 'br.lan', id: 4094 });
  for (const name of ['eth0', 'eth0.', 'eth0.0', 'eth0.4095', '.10', 'eth0.1x'])
    assert.is(splitVlan(name), undefined, name);
});

test.run();
