import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseCidr } from '../address/cidr.ts';
import { parseIp } from '../address/ip.ts';
import { reverseName } from './name.ts';
import { addressData, formatRecord, parseRecord, srvData } from './rdata.ts';
import { type Resolution, resolve } from './resolver.ts';
import { findType, rcodeName } from './wire.ts';
import { defaultSettings, Zone, type ZoneRecord } from './zone.ts';

function zone(
  id: string,
  names: Readonly<Record<string, readonly string[]>>,
  from: Partial<ZoneRecord['source']> = {},
): Zone {
  const made = new Zone(id);
  const source = { reason: 'test', ...from };
  const entries = Object.entries(names).map(
    ([name, records]) => [name, records.map((text) => ({ ...parseRecord(text, id), source }))] as const,
  );
  made.put(id, new Map(entries));
  return made;
}

/** `NOERROR web A 192.0.2.1`, `NXDOMAIN`, `forward example.org`. */
function ask(zones: readonly Zone[], name: string, type = 'A'): string {
  const resolution: Resolution = resolve(zones, { name, type: findType(type) ?? 0, class: 1 });
  if (resolution.kind === 'error') return rcodeName(resolution.rcode);
  const sets = (resolution.kind === 'answer' ? resolution.sets : resolution.via).flatMap((set) =>
    set.records.map((record) => `${set.owner} ${formatRecord(record)}`),
  );
  if (resolution.kind === 'forward') return [`forward ${resolution.name}`, ...sets].join(' | ');
  return [rcodeName(resolution.rcode), ...sets].join(' | ');
}

test('a name is found with and without the suffixes of its network', () => {
  const net = zone('a', { web: ['192.0.2.1'] });
  net.suffixes = ['shop', 'example.org'];
  for (const name of ['web', 'web.shop', 'web.example.org'])
    assert.is(ask([net], name), `NOERROR | ${name} A 192.0.2.1`);
  assert.is(ask([net], 'other.shop'), 'forward other.shop', 'a network may have the name of a real domain');
});

test('no such type is NODATA, no such name in an own domain NXDOMAIN', () => {
  const net = zone('a', { web: ['192.0.2.1'] });
  net.suffixes = ['shop.internal'];
  net.domain = 'shop.internal';
  assert.is(ask([net], 'web', 'AAAA'), 'NOERROR');
  assert.is(ask([net], 'web.shop.internal', 'MX'), 'NOERROR');
  assert.is(ask([net], 'nosuch.shop.internal'), 'NXDOMAIN');
  assert.is(ask([net], 'shop.internal'), 'NOERROR');
  assert.is(ask([net], 'nosuch'), 'forward nosuch');
});

test('a name between an owner and its zone exists (RFC 8020)', () => {
  const net = zone('a', { '_http._tcp.web': ['SRV 0 0 80 web'] });
  assert.is(ask([net], '_tcp.web'), 'NOERROR');
});

test('a container is seen on the networks that it shares with the asker, once', () => {
  const source = { sandboxKey: '/run/netns/web' };
  const first = zone('a', { web: ['192.0.2.1'], only: ['192.0.2.9'] }, source);
  const second = zone('b', { web: ['198.51.100.1'] }, source);
  assert.is(ask([first], 'web'), 'NOERROR | web A 192.0.2.1');
  assert.is(ask([second], 'only'), 'forward only');
  assert.is(ask([first, second], 'web'), 'NOERROR | web A 192.0.2.1');
  assert.is(ask([second, first], 'web'), 'NOERROR | web A 198.51.100.1');
  const other = zone('b', { web: ['198.51.100.2'] }, { sandboxKey: '/run/netns/other' });
  assert.is(ask([first, other], 'web'), 'NOERROR | web A 192.0.2.1 | web A 198.51.100.2', 'two containers, one alias');
});

test('wildcards, and the names that go before them', () => {
  const net = zone('a', { '*.app': ['192.0.2.1'], 'fixed.app': ['192.0.2.2'] });
  net.suffixes = ['shop'];
  assert.is(ask([net], 'any.app'), 'NOERROR | any.app A 192.0.2.1');
  assert.is(ask([net], 'a.b.app.shop'), 'NOERROR | a.b.app.shop A 192.0.2.1');
  assert.is(ask([net], 'fixed.app'), 'NOERROR | fixed.app A 192.0.2.2');
  assert.is(ask([net], 'any.app', 'TXT'), 'NOERROR');
});

test('CNAMEs are followed here and sent on with their target', () => {
  const net = zone('a', {
    db: ['CNAME postgres'],
    postgres: ['192.0.2.5'],
    out: ['CNAME www.example.org'],
    one: ['CNAME two'],
    two: ['CNAME one'],
  });
  assert.is(ask([net], 'db'), 'NOERROR | db CNAME postgres. | postgres A 192.0.2.5');
  assert.is(ask([net], 'db', 'CNAME'), 'NOERROR | db CNAME postgres.');
  assert.is(ask([net], 'db', 'AAAA'), 'NOERROR | db CNAME postgres.');
  assert.is(ask([net], 'out'), 'forward www.example.org | out CNAME www.example.org.');
  assert.is(ask([net], 'one'), 'SERVFAIL');
});

test('SRV comes with the addresses of its targets', () => {
  const net = zone('a', { web: ['192.0.2.1', '2001:db8::1'] });
  const srv = { ...srvData({ priority: 0, weight: 0, port: 80, target: 'web' }), source: { reason: 'port' } };
  net.put('srv', new Map([['_http._tcp.web', [srv]]]));
  const resolution = resolve([net], { name: '_http._tcp.web', type: 33, class: 1 });
  assert.is(resolution.kind === 'answer' && resolution.additional[0]?.records.length, 2);
});

test('reverse names inside our pools are never sent on', () => {
  const net = zone('a', {});
  net.pools = [parseCidr('192.0.2.0/24'), parseCidr('2001:db8::/64')];
  const reversed = (text: string): string => reverseName(parseIp(text));
  net.put('x', new Map([[reversed('192.0.2.1'), [{ ...addressData(parseIp('192.0.2.1')), source: { reason: 'x' } }]]]));
  assert.is(ask([net], reversed('192.0.2.9'), 'PTR'), 'NXDOMAIN');
  assert.is(ask([net], reversed('2001:db8::9'), 'PTR'), 'NXDOMAIN');
  assert.is(ask([net], '2.0.192.in-addr.arpa', 'PTR'), 'NOERROR', 'a name between');
  assert.is(ask([net], reversed('198.51.100.1'), 'PTR'), `forward ${reversed('198.51.100.1')}`);
});

test('ANY gets one short answer (RFC 8482), transfers and operations none', () => {
  const net = zone('a', { web: ['192.0.2.1', 'TXT hello'] });
  assert.match(ask([net], 'web', 'ANY'), /^NOERROR \| web HINFO /);
  assert.match(ask([net], 'example.org', 'ANY'), /^NOERROR \| example.org HINFO /, 'nor is the upstream asked');
  assert.is(ask([net], 'web', 'AXFR'), 'REFUSED');
  assert.is(ask([net], 'web', 'TYPE250'), 'NOTIMP');
  assert.is(ask([net], 'web', 'TYPE65280'), 'NOERROR');
  const chaos = resolve([net], { name: 'version.bind', type: 16, class: 3 });
  assert.is(chaos.kind === 'error' && rcodeName(chaos.rcode), 'REFUSED');
});

test('names that mean the same everywhere', () => {
  const net = zone('a', {});
  assert.is(ask([net], 'localhost'), 'NOERROR | localhost A 127.0.0.1');
  assert.is(ask([net], 'x.localhost', 'AAAA'), 'NOERROR | x.localhost AAAA ::1');
  assert.is(ask([net], 'x.invalid'), 'NXDOMAIN');
  assert.is(ask([net], 'x.onion'), 'NXDOMAIN');
});

test('an internal network asks nobody outside; strangers are refused', () => {
  const net = zone('a', { web: ['192.0.2.1'] });
  net.settings = { ...defaultSettings, forward: false };
  assert.is(ask([net], 'web'), 'NOERROR | web A 192.0.2.1');
  assert.is(ask([net], 'nosuch'), 'NXDOMAIN');
  assert.is(ask([net], 'example.org'), 'REFUSED');
  assert.is(ask([], 'web'), 'REFUSED');
});

test.run();
