import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseIp } from '../address/ip.ts';
import { addressData } from './rdata.ts';
import { types } from './wire.ts';
import { Zone, type ZoneRecord } from './zone.ts';

const record = (ip: string): ZoneRecord => ({ ...addressData(parseIp(ip)), source: { reason: 'test' } });
const count = (zone: Zone, name: string): number | undefined => zone.node(name)?.get(types.A)?.records.length;

test('a name has the records of all who bring it, and goes with the last', () => {
  const zone = new Zone('n');
  zone.put('one', new Map([['search', [record('192.0.2.1')]]]));
  zone.put(
    'two',
    new Map([
      ['search', [record('192.0.2.2')]],
      ['two', [record('192.0.2.2')]],
    ]),
  );
  assert.is(count(zone, 'search'), 2);
  const rotation = zone.node('search')?.get(types.A)?.rotation;
  zone.remove('one');
  assert.is(count(zone, 'search'), 1);
  assert.is(zone.node('search')?.get(types.A)?.rotation, rotation, 'the rotation goes on');
  zone.put('two', new Map([['other', [record('192.0.2.2')]]]));
  assert.is(zone.node('search'), undefined);
  assert.is(zone.node('two'), undefined);
  assert.is(zone.size, 1);
  zone.remove('two');
  zone.remove('two');
  assert.is(zone.size, 0);
  assert.not(zone.exists('other'));
});

test('the same address from two contributors is one record', () => {
  const zone = new Zone('n');
  zone.put('one', new Map([['web', [record('192.0.2.1')]]]));
  zone.put('two', new Map([['web', [record('192.0.2.1')]]]));
  assert.is(count(zone, 'web'), 1);
  zone.remove('one');
  assert.is(count(zone, 'web'), 1);
});

test('names above an owner exist without records, and no longer than it', () => {
  const zone = new Zone('n');
  zone.put('one', new Map([['_http._tcp.web', [record('192.0.2.1')]]]));
  assert.ok(zone.exists('_tcp.web') && zone.exists('web'));
  assert.is(zone.node('web'), undefined);
  zone.remove('one');
  assert.not(zone.exists('_tcp.web') || zone.exists('web'));
});

test('a wildcard speaks for what does not exist below its parent (RFC 4592)', () => {
  const zone = new Zone('n');
  zone.put(
    'one',
    new Map([
      ['*.app', [record('192.0.2.1')]],
      ['x.y.app', [record('192.0.2.2')]],
    ]),
  );
  assert.ok(zone.wildcard('a.app'));
  assert.ok(zone.wildcard('a.b.app'), 'any depth');
  assert.is(zone.wildcard('z.y.app'), undefined, 'y.app exists and is closer');
  assert.is(zone.wildcard('app'), undefined);
  assert.is(zone.wildcard('a.apps'), undefined);
  zone.remove('one');
  assert.is(zone.wildcard('a.app'), undefined);
});

test.run();
