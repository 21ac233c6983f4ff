import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkMode } from './options.ts';
import { nextAddresses } from './plan.ts';
import { refuseSharing } from './sharing.ts';

const macvlan = (mode: 'bridge' | 'passthru' | 'vepa'): LinkMode => ({ kind: 'macvlan', mode });
const ipvlan = (mode: 'l2' | 'l3'): LinkMode => ({ kind: 'ipvlan', mode, flag: 'bridge' });
const networkId = 'a'.repeat(64);

function refusal(wanted: LinkMode, theirs: LinkMode): string {
  try {
    refuseSharing('eth0', wanted, [{ networkId, mode: theirs }]);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

test('one parent serves macvlan or ipvlan', () => {
  assert.match(refusal(macvlan('bridge'), ipvlan('l2')), /eth0 serves the network aaaaaaaaaaaa of cleat-ipvlan/);
  assert.match(refusal(ipvlan('l2'), macvlan('bridge')), /of cleat-macvlan/);
});

test('modes of macvlan go together but for passthru; those of ipvlan do not', () => {
  assert.is(refusal(macvlan('bridge'), macvlan('vepa')), '');
  assert.match(refusal(macvlan('passthru'), macvlan('bridge')), /in mode bridge, which does not go with passthru/);
  assert.match(refusal(macvlan('bridge'), macvlan('passthru')), /in mode passthru/);
  assert.is(refusal(ipvlan('l3'), ipvlan('l3')), '');
  assert.match(refusal(ipvlan('l3'), ipvlan('l2')), /in mode l2, which does not go with l3/);
});

test('the next addresses of a subnet, and none beyond its end', () => {
  assert.equal(nextAddresses(['192.0.2.253/24', '2001:db8::9/64', undefined]), [
    '192.0.2.254',
    '192.0.2.255',
    '2001:db8::a',
    '2001:db8::b',
    '2001:db8::c',
  ]);
});

test.run();
