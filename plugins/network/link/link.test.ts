import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { macFromAddress, macFromId } from './mac.ts';
import { bridgeName, containerEndName, hostEndName, isOurLink } from './names.ts';
import { parseStaticRoutes, unreachableHops } from './static-routes.ts';

const id = '0123456789abcdef'.repeat(4);

test('names fit an interface (15 characters) and are known again', () => {
  const names = [bridgeName(id), hostEndName(id), containerEndName(id), bridgeName('siak4aufv8lamowdd2r3sy6xl')];
  assert.equal(names, ['cl-0123456789ab', 'cv0123456789', 'cv0123456789c', 'cl-siak4aufv8la']);
  for (const name of names) assert.ok(name.length <= 15 && isOurLink({ name, alias: '' }), name);
  for (const name of ['cl-', 'cvx', 'br0', 'docker0', 'cl-0123456789abc', 'cv01234567']) {
    assert.not(isOurLink({ name, alias: '' }), name);
  }
  assert.ok(isOurLink({ name: 'mybr0', alias: `cleat network ${id}` }));
});

test('a MAC follows from the address, is local and unicast, and differs', () => {
  assert.is(macFromAddress('192.0.2.7'), '02:42:c0:00:02:07');
  assert.match(macFromAddress('2001:db8::7'), /^02:42(:[0-9a-f]{2}){4}$/);
  assert.is.not(macFromAddress('2001:db8::7'), macFromAddress('2001:db8::8'));
  assert.match(macFromId(id), /^02:63(:[0-9a-f]{2}){4}$/);
});

test('routes: by a gateway, on the link, to one host, several', () => {
  assert.equal(parseStaticRoutes('198.51.100.9/24 via 192.0.2.9, 203.0.113.7,2001:db8:9::/48 via 2001:db8::9'), [
    { destination: '198.51.100.0/24', nextHop: '192.0.2.9' },
    { destination: '203.0.113.7/32' },
    { destination: '2001:db8:9::/48', nextHop: '2001:db8::9' },
  ]);
  for (const text of [
    '',
    'x',
    '10.0.0.0/8 via',
    '10.0.0.0/8 via fe80::1',
    '10.0.0.0/8 via 10.0.0.1 dev eth0',
    '10.0.0.0/33',
  ]) {
    assert.is(parseStaticRoutes(text), undefined, text);
  }
});

test('a gateway outside every subnet is told', () => {
  const routes = parseStaticRoutes('10.0.0.0/8 via 192.0.2.9, 10.1.0.0/16 via 203.0.113.9') ?? [];
  assert.equal(unreachableHops(routes, ['192.0.2.0/24']), ['203.0.113.9']);
});

test.run();
