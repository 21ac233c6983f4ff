import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginError } from '../../sdk/errors.ts';
import {
  cidrAround,
  cidrHasCidr,
  cidrHasIp,
  cidrSize,
  cidrsOverlap,
  compareCidr,
  countSubnets,
  findCidr,
  firstIp,
  formatCidr,
  formatInterfaceAddress,
  lastIp,
  netmask,
  parseCidr,
  parseInterfaceAddress,
  subnetAt,
} from './cidr.ts';
import { addToIp, compareIp, findIp, formatIp, type Ip, ipFromBytes, ipRange, ipToBytes, parseIp } from './ip.ts';
import { findMac, isUnicastMac, macFromBytes, macToBytes, parseMac, randomMac } from './mac.ts';

const ips: fc.Arbitrary<Ip> = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 32n) - 1n }).map((value) => ({ family: 4 as const, value })),
  fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).map((value) => ({ family: 6 as const, value })),
);
const withPrefix = ips.chain((ip) => fc.tuple(fc.constant(ip), fc.nat({ max: ip.family === 4 ? 32 : 128 })));
const refused = (error: Error): boolean => error instanceof PluginError && error.code === 'NET_ADDRESS_INVALID';

test('addresses are read and written in one spelling', () => {
  const spellings: [string, string][] = [
    ['192.0.2.7', '192.0.2.7'],
    ['2001:DB8:0:0:0:0:0:7', '2001:db8::7'],
    ['::', '::'],
    ['fd00:0:0:1::', 'fd00:0:0:1::'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ];
  for (const [given, canonical] of spellings) assert.is(formatIp(parseIp(given)), canonical);
  assert.is(parseIp('::ffff:192.0.2.7').family, 6);
  assert.equal(parseIp(formatIp(parseIp('::ffff:192.0.2.7'))), parseIp('::ffff:192.0.2.7'));
});

test('what only looks like an address is refused', () => {
  const wrong = [
    '',
    '1.2.3',
    '010.0.0.1',
    '256.1.1.1',
    '1.2.3.4/24',
    'fe80::1%eth0',
    ':::',
    '0x7f.1',
    '127.1',
    'a.b.c.d',
    ' 1.2.3.4',
  ];
  for (const text of wrong) {
    assert.is(findIp(text), undefined, text);
    assert.throws(() => parseIp(text), refused, text);
  }
});

test('text and bytes give any address back', () => {
  fc.assert(
    fc.property(ips, (ip) => {
      assert.equal(parseIp(formatIp(ip)), ip);
      assert.equal(ipFromBytes(ipToBytes(ip)), ip);
    }),
  );
  assert.throws(() => ipFromBytes(new Uint8Array(5)), refused);
});

test('adding stays inside the family', () => {
  assert.is(formatIp(addToIp(parseIp('10.0.0.255'), 1)), '10.0.1.0');
  assert.is(formatIp(addToIp(parseIp('fd00::1'), -1n)), 'fd00::');
  assert.throws(() => addToIp(parseIp('255.255.255.255'), 1), refused);
  assert.throws(() => addToIp(parseIp('::'), -1), refused);
});

test('order is IPv4 first, then by number', () => {
  const sorted = ['10.0.0.2', '10.0.0.10', '::1', 'fd00::'];
  assert.equal([...sorted].reverse().map(parseIp).sort(compareIp).map(formatIp), sorted);
  const blocks = ['10.0.0.0/8', '10.0.0.0/16', '10.1.0.0/16', 'fd00::/64'];
  assert.equal([...blocks].reverse().map(parseCidr).sort(compareCidr).map(formatCidr), blocks);
});

test('ranges have the registries’ names', () => {
  assert.is(ipRange(parseIp('10.1.2.3')), 'private');
  assert.is(ipRange(parseIp('fd00::1')), 'uniqueLocal');
  assert.is(ipRange(parseIp('169.254.1.1')), 'linkLocal');
});

test('a prefix loses its host bits, an interface address keeps them', () => {
  assert.is(formatCidr(parseCidr('10.0.0.5/24')), '10.0.0.0/24');
  assert.is(formatCidr(parseCidr('2001:db8::7/64')), '2001:db8::/64');
  assert.is(formatInterfaceAddress(parseInterfaceAddress('10.0.0.5/24')), '10.0.0.5/24');
  for (const text of [
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/024',
    '10.0.0.0/',
    'fd00::/129',
    '/8',
    '10.0.0.0/8/8',
  ]) {
    assert.is(findCidr(text), undefined, text);
    assert.throws(() => parseCidr(text), refused, text);
  }
});

test('first, last, size and membership agree', () => {
  fc.assert(
    fc.property(withPrefix, ips, ([ip, prefix], other) => {
      const cidr = cidrAround(ip, prefix);
      const [first, last] = [firstIp(cidr), lastIp(cidr)];
      assert.ok(cidrHasIp(cidr, ip) && cidrHasIp(cidr, first) && cidrHasIp(cidr, last));
      assert.is(last.value - first.value + 1n, cidrSize(cidr));
      const inside = other.family === ip.family && other.value >= first.value && other.value <= last.value;
      assert.is(cidrHasIp(cidr, other), inside);
    }),
  );
});

test('blocks nest or are disjoint', () => {
  fc.assert(
    fc.property(withPrefix, withPrefix, ([a, aPrefix], [b, bPrefix]) => {
      const [one, two] = [cidrAround(a, aPrefix), cidrAround(b, bPrefix)];
      const overlap = one.family === two.family && one.network <= lastIp(two).value && two.network <= lastIp(one).value;
      assert.is(cidrsOverlap(one, two), overlap);
      assert.is(cidrHasCidr(one, two) || cidrHasCidr(two, one), overlap);
    }),
  );
});

test('a block is made of its subnets', () => {
  const block = parseCidr('10.0.0.0/22');
  assert.is(countSubnets(block, 24), 4n);
  assert.is(countSubnets(block, 16), 0n);
  assert.is(formatCidr(subnetAt(block, 24, 3n)), '10.0.3.0/24');
  assert.throws(() => subnetAt(block, 24, 4n), refused);
  assert.is(formatCidr(subnetAt(parseCidr('fd00::/8'), 64, 1n)), 'fd00:0:0:1::/64');
  assert.is(formatIp(netmask(4, 26)), '255.255.255.192');
  assert.throws(() => netmask(4, 33), refused);
});

test('MAC addresses have one spelling', () => {
  for (const text of ['02:42:AC:11:00:02', '02-42-ac-11-00-02', '0242.ac11.0002'])
    assert.is(parseMac(text), '02:42:ac:11:00:02');
  for (const text of [
    '',
    '02:42:ac:11:00',
    '02:42:ac:11:00:2',
    '02:42:ac:11:00:gg',
    '02:42-ac:11:00:02',
    '0242ac110002',
  ]) {
    assert.is(findMac(text), undefined, text);
    assert.throws(() => parseMac(text), refused, text);
  }
  assert.throws(() => macFromBytes(new Uint8Array(5)), refused);
});

test('a random MAC is unicast and locally administered', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
      const mac = randomMac(() => bytes);
      assert.ok(isUnicastMac(mac));
      assert.is(macToBytes(mac)[0]! & 3, 2);
      assert.is(macFromBytes(macToBytes(mac)), mac);
    }),
  );
  assert.not(isUnicastMac(parseMac('01:00:5e:00:00:01')));
  assert.not(isUnicastMac(parseMac('00:00:00:00:00:00')));
});

test.run();
