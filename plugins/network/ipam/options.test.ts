import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginError } from '../../sdk/errors.ts';
import { cidrsOverlap, formatCidr } from '../address/cidr.ts';
import { parseIpamConfig, parsePoolOptions } from './options.ts';

const bases = (section: unknown) =>
  parseIpamConfig(section).defaultPools.map(({ base, size }) => `${formatCidr(base)} ${size}`);

test('without a section everything has its default', () => {
  const { defaultPools, ...rest } = parseIpamConfig(undefined);
  assert.equal(rest, {
    quarantineMs: 120_000,
    stickyMs: 604_800_000,
    warnPercent: 90,
    graceMs: 60_000,
    requireMac: false,
    requestReplay: false,
  });
  for (const [index, one] of defaultPools.entries()) {
    assert.not(defaultPools.slice(index + 1).some((other) => cidrsOverlap(one.base, other.base)));
  }
});

test('default pools are given as in Docker, family by family', () => {
  assert.equal(bases({ 'default-address-pools': [{ base: '10.9.0.0/16', size: 24 }] }), ['10.9.0.0/16 24']);
  const six = bases({ 'default-address-pools': [{ base: 'fd00:9::/48', size: 64 }] });
  assert.is(six[0], 'fd00:9::/48 64');
  assert.is(six.length, bases(undefined).length + 1);
});

test('wrong sections are refused by name', () => {
  const wrong: [unknown, RegExp][] = [
    [[], /"ipam" must be an object/],
    [{ stiky: '1h' }, /no option "stiky"; did you mean "sticky"/],
    [{ 'warn-percent': 0 }, /warn-percent=0 is not allowed; use a whole number from 1 to 100/],
    [{ grace: {} }, /"grace" must be a text, a number/],
    [{ 'default-address-pools': {} }, /must be a list/],
    [{ 'default-address-pools': [{ base: '10.0.0.0', size: 24 }] }, /10\.0\.0\.0.*IPAM_CONFIG/],
    [{ 'default-address-pools': [{ base: '10.0.0.0/16', size: 8 }] }, /from 16 to 30/],
    [{ 'default-address-pools': [{ base: '0.0.0.0/0', size: 8 }] }, /IPAM_CONFIG/],
    [{ 'default-address-pools': [{ base: '10.0.0.0/16', size: 24, gateway: 1 }] }, /IPAM_CONFIG/],
    [{ 'default-address-pools': ['10.0.0.0/16'] }, /IPAM_CONFIG/],
  ];
  for (const [section, expected] of wrong) {
    try {
      parseIpamConfig(section);
    } catch (error) {
      assert.instance(error, PluginError);
      assert.match(error instanceof PluginError ? error.line : '', expected);
      continue;
    }
    assert.unreachable(JSON.stringify(section));
  }
});

test('options of a network', () => {
  const { quarantineMs, stickyMs, warnPercent, size } = parsePoolOptions({
    'cleat.quarantine': '0',
    'cleat.sticky': '1h',
    'cleat.warn': '75',
    'cleat.size': '24',
  });
  assert.equal([quarantineMs, stickyMs, warnPercent, size], [0, 3_600_000, 75, 24]);
});

test.run();
