import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MessageWriter, NetlinkFormatError } from '../netlink/message.ts';
import { readDevice, writeChange } from './kernel.ts';
import { generateKeys, isKey, keyFromText, publicKeyOf } from './keys.ts';
import { changeText, parseDevice } from './userspace.ts';

const peer = generateKeys().publicKey;
const other = generateKeys().publicKey;

test('keys: what follows from a private one, and what is none', () => {
  // RFC 7748 §6.1: Bob's.
  const secret = Buffer.from('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb', 'hex');
  const shown = Buffer.from('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f', 'hex');
  assert.is(publicKeyOf(secret.toString('base64')), shown.toString('base64'));
  const { privateKey, publicKey } = generateKeys();
  assert.ok(isKey(privateKey) && isKey(publicKey) && privateKey !== publicKey);
  assert.is(publicKeyOf(privateKey), publicKey);
  for (const text of ['', 'x', `${publicKey}=`, publicKey.slice(1), 'A'.repeat(44), `${'A'.repeat(42)}B=`])
    assert.not(isKey(text), text);
  assert.throws(
    () => keyFromText('secret'),
    (error: Error) => !error.message.includes('secret'),
  );
});

test('netlink: what is written is read again, and cuts are noticed', () => {
  const writer = new MessageWriter();
  // struct genlmsghdr
  writer.skip(4);
  writeChange(writer, 'wg0', {
    listenPort: 4786,
    peers: [
      {
        publicKey: peer,
        endpoint: { address: '192.0.2.1', port: 4787 },
        allowedIps: ['fd00::1/128'],
        keepaliveSeconds: 25,
      },
      { publicKey: other, endpoint: { address: '2001:db8::1', port: 1 }, allowedIps: ['10.0.0.0/8', 'fd00::2/128'] },
    ],
  });
  const bytes = Buffer.from(writer.bytes);
  const nothing = { handshakeAt: undefined, receivedBytes: 0, sentBytes: 0 };
  assert.equal(readDevice([bytes]), {
    publicKey: undefined,
    listenPort: 4786,
    peers: [
      { publicKey: peer, endpoint: '192.0.2.1:4787', allowedIps: ['fd00::1/128'], ...nothing },
      { publicKey: other, endpoint: '[2001:db8::1]:1', allowedIps: ['10.0.0.0/8', 'fd00::2/128'], ...nothing },
    ],
  });
  void fc.assert(
    fc.property(fc.integer({ min: 4, max: bytes.length - 1 }), (length) => {
      try {
        readDevice([bytes.subarray(0, length)]);
      } catch (error) {
        assert.ok(error instanceof NetlinkFormatError || error instanceof RangeError, String(error));
      }
    }),
  );
});

test('wireguard-go: what is said to it, and what it says', () => {
  const hex = keyFromText(peer).toString('hex');
  const text = changeText({
    listenPort: 4786,
    peers: [
      {
        publicKey: peer,
        endpoint: { address: '2001:db8::1', port: 4787 },
        allowedIps: ['fd00::1/128'],
        keepaliveSeconds: 25,
      },
      { publicKey: other, remove: true },
    ],
  });
  assert.equal(text.split('\n'), [
    'set=1',
    'listen_port=4786',
    `public_key=${hex}`,
    'endpoint=[2001:db8::1]:4787',
    'replace_allowed_ips=true',
    'allowed_ip=fd00::1/128',
    'persistent_keepalive_interval=25',
    `public_key=${keyFromText(other).toString('hex')}`,
    'remove=true',
    '',
    '',
  ]);
  const answer = [
    `private_key=${'11'.repeat(32)}`,
    'listen_port=4786',
    `public_key=${hex}`,
    `preshared_key=${'00'.repeat(32)}`,
    'protocol_version=1',
    'endpoint=192.0.2.1:4787',
    'last_handshake_time_sec=1700000000',
    'last_handshake_time_nsec=5',
    'tx_bytes=10',
    'rx_bytes=20',
    'persistent_keepalive_interval=25',
    'allowed_ip=fd00::1/128',
    'allowed_ip=fd00::2/128',
    `public_key=${keyFromText(other).toString('hex')}`,
    'last_handshake_time_sec=0',
    'errno=0',
    '',
    '',
  ].join('\n');
  const device = parseDevice(answer);
  assert.equal(device, {
    publicKey: undefined,
    listenPort: 4786,
    peers: [
      {
        publicKey: peer,
        endpoint: '192.0.2.1:4787',
        allowedIps: ['fd00::1/128', 'fd00::2/128'],
        handshakeAt: 1_700_000_000_000,
        receivedBytes: 20,
        sentBytes: 10,
      },
      { publicKey: other, endpoint: undefined, allowedIps: [], handshakeAt: undefined, receivedBytes: 0, sentBytes: 0 },
    ],
  });
  assert.not.match(JSON.stringify(device), /1111/);
});

test.run();
