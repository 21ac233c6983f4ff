import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatCidr } from '../address/cidr.ts';
import { parseIp } from '../address/ip.ts';
import { readOverlayOptions, vniOf } from './options.ts';
import { checkShare, shareOf } from './share.ts';

test('shares cover the subnet, do not overlap, and are the same for everybody', () => {
  const shares = [0, 1, 2].map((index) => formatCidr(shareOf('10.9.0.0/24', index, 3)));
  assert.equal(shares, ['10.9.0.0/26', '10.9.0.64/26', '10.9.0.128/26']);
  assert.is(formatCidr(shareOf('10.9.0.0/24', 0, 1)), '10.9.0.0/24');
  assert.is(formatCidr(shareOf('fd00:9::/64', 1, 2)), 'fd00:9:0:0:8000::/65');
  assert.throws(() => shareOf('10.9.0.0/29', 0, 3), /too small for 3 hosts/);
});

test('an address of another share is refused with the range to use', () => {
  const share = shareOf('10.9.0.0/24', 1, 3);
  checkShare(parseIp('10.9.0.70'), [share]);
  assert.throws(() => checkShare(parseIp('10.9.0.2'), [share]), /10\.9\.0\.2 is not this host's.*10\.9\.0\.64\/26/);
  assert.throws(() => checkShare(parseIp('fd00::2'), [share]), /not this host's/);
});

test('options: a name gives the VNI, and nothing weaker than what was asked for', () => {
  const peers = '192.0.2.1,192.0.2.2';
  const options = readOverlayOptions({ 'cleat.network': 'prod', 'cleat.peers': peers, 'cleat.dns': 'off' });
  assert.is(options.vni, vniOf('prod'));
  assert.ok(options.vni >= 0x800000 && options.vni <= 0xffffff);
  assert.is(options.shares, 2);
  assert.is(readOverlayOptions({ 'cleat.vni': '7' }, { peers: ['192.0.2.1'], shares: 4 }).name, 'vni-7');
  const refused = (given: Record<string, string>) => {
    try {
      readOverlayOptions({ 'cleat.peers': peers, ...given });
    } catch (error) {
      return (error as { code: string }).code;
    }
    return undefined;
  };
  assert.not(options.encrypted);
  for (const asked of [{ encrypted: '' }, { 'cleat.encryption': 'wireguard' }])
    assert.ok(readOverlayOptions({ 'cleat.network': 'prod', 'cleat.peers': peers, ...asked }).encrypted);
  assert.is(refused({ 'cleat.network': 'prod', encrypted: '', 'cleat.encryption': 'none' }), 'PROTO_OPTION');
  assert.is(refused({ 'cleat.network': 'prod', 'cleat.encryption': 'ipsec' }), 'PROTO_OPTION');
  assert.is(refused({ 'cleat.network': 'prod', encrypted: '', 'cleat.direct': 'on' }), 'PROTO_OPTION');
  assert.is(refused({}), 'PROTO_OPTION');
  assert.is(refused({ 'cleat.network': 'prod', 'cleat.peers': '192.0.2.1,192.0.2.1' }), 'PROTO_OPTION');
  assert.is(refused({ 'cleat.network': 'prod', 'cleat.peers': '192.0.2.1,2001:db8::1' }), 'PROTO_OPTION');
});

test.run();
