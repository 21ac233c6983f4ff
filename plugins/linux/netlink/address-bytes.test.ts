import * as fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ipBytes, ipText, macBytes, macText, parsePrefix } from './address-bytes.ts';

test('addresses of both families make the round trip', () => {
  void fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const bytes = ipBytes(text);
      assert.ok(bytes.equals(ipBytes(ipText(bytes))));
    }),
  );
  assert.is(ipText(ipBytes('2001:DB8:0:0:0:0:0:1')), '2001:db8::1');
});

test('prefixes keep their host bits; an address alone is the whole of it', () => {
  assert.equal({ ...parsePrefix('192.0.2.1/24'), bytes: null }, { family: 2, length: 24, bytes: null });
  assert.is(parsePrefix('2001:db8::1').length, 128);
  assert.is(parsePrefix('0.0.0.0/0').length, 0);
  for (const bad of [
    '192.0.2.1/33',
    '192.0.2.1/',
    '192.0.2.1/-1',
    '192.0.2.1/8/8',
    '192.0.2/24',
    'x',
    '',
    'fe80::1%eth0',
    '010.0.0.1',
  ]) {
    assert.throws(() => parsePrefix(bad), /is no IP/, bad);
  }
});

test('MAC addresses make the round trip', () => {
  assert.is(macText(macBytes('02:FC:00:00:00:0a')), '02:fc:00:00:00:0a');
  for (const bad of ['02:fc:00:00:00', '02-fc-00-00-00-0a', '02:fc:00:00:00:0g', '']) {
    assert.throws(() => macBytes(bad), /is no MAC/, bad);
  }
});

test.run();
