import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CreateNetworkRequest } from '../../sdk/network-plugin.ts';
import { checkHostSubnets, findClash } from './conflicts.ts';
import { noServiceOptions } from './options.ts';
import { gatewayFor, planBridge, planNetwork } from './plan.ts';

const networkId = '1a2b3c4d5e6f'.padEnd(64, '0');
const data = (pool: string, gateway?: string, auxAddresses = {}) => ({
  addressSpace: 'test',
  pool,
  ...(gateway !== undefined && { gateway }),
  auxAddresses,
});
const request: CreateNetworkRequest = {
  networkId,
  options: {},
  enableIPv4: true,
  enableIPv6: true,
  internal: false,
  ipv4: [data('192.0.2.0/25', '192.0.2.1/25'), data('192.0.2.128/25', '192.0.2.129/25')],
  ipv6: [data('2001:db8::/64', '2001:db8::1/64')],
};
const bridge = (name: string) => `com.docker.network.bridge.${name}`;
const plan = (change: Partial<CreateNetworkRequest> = {}) =>
  planBridge(planNetwork({ ...request, ...change }, noServiceOptions, { createdAt: '' }), noServiceOptions);

test('the name of the bridge, an address in each subnet, the gateway of a container by its subnet', () => {
  const planned = plan();
  assert.is(planned.bridge, 'cl-1a2b3c4d5e6f');
  assert.equal(
    planned.pools.map(({ bridgeAddress }) => bridgeAddress),
    ['192.0.2.1/25', '192.0.2.129/25', '2001:db8::1/64'],
  );
  assert.is(gatewayFor(planned, '192.0.2.200/25'), '192.0.2.129');
  assert.is(gatewayFor(planned, '2001:db8::5/64'), '2001:db8::1');
  assert.is(gatewayFor(planned, undefined), undefined);
});

test('internal: an address of the bridge and no gateway for containers', () => {
  const planned = plan({ internal: true });
  assert.is(planned.pools[0]?.bridgeAddress, '192.0.2.1/25');
  assert.is(gatewayFor(planned, '192.0.2.5/25'), undefined);
});

test('another gateway by aux address, no address by inhibit_ipv4, none at all when isolated', () => {
  const aux = plan({ ipv4: [data('192.0.2.0/24', '192.0.2.1/24', { DefaultGatewayIPv4: '192.0.2.254/24' })] });
  assert.is(gatewayFor(aux, '192.0.2.5/24'), '192.0.2.254');
  assert.is(plan({ options: { [bridge('inhibit_ipv4')]: 'true' } }).pools[0]?.bridgeAddress, undefined);
  const isolated = plan({ internal: true, options: { [bridge('gateway_mode_ipv4')]: 'isolated' } });
  assert.equal(
    isolated.pools.map(({ bridgeAddress }) => bridgeAddress),
    [undefined, undefined, '2001:db8::1/64'],
  );
});

test('rules follow from modes and options', () => {
  const rules = (options: Record<string, string>) => plan({ options }).rules(true);
  assert.equal(rules({}).ipv4, { pools: ['192.0.2.0/25', '192.0.2.128/25'], inbound: 'nat', source: 'masquerade' });
  assert.is(rules({ [bridge('enable_ip_masquerade')]: '0' }).ipv6.source, 'keep');
  assert.equal(rules({ [bridge('gateway_mode_ipv6')]: 'routed' }).ipv6, {
    pools: ['2001:db8::/64'],
    inbound: 'routed',
    source: 'keep',
  });
  assert.is(rules({ [bridge('gateway_mode_ipv4')]: 'nat-unprotected' }).ipv4.inbound, 'open');
  assert.equal(rules({ 'com.docker.network.host_ipv4': '198.51.100.7' }).ipv4.source, { address: '198.51.100.7' });
  assert.is(rules({ [bridge('enable_icc')]: 'false' }).interContainer, false);
});

test('IPv4 switched off leaves its subnets out', () => {
  assert.equal(
    plan({ enableIPv4: false }).pools.map(({ family }) => family),
    [6],
  );
});

const refusals: [string, Partial<CreateNetworkRequest>, RegExp][] = [
  ['no subnet', { ipv4: [], ipv6: [] }, /at least one subnet/],
  ['the null IPAM driver', { ipv4: [data('0.0.0.0/0')] }, /gave no subnet/],
  ['isolated without internal', { options: { [bridge('gateway_mode_ipv6')]: 'isolated' } }, /internal networks only/],
  ['an MTU too small for IPv6', { options: { 'com.docker.network.driver.mtu': '1000' } }, /too small for IPv6/],
  ['a route through nowhere', { options: { 'cleat.route': '10.0.0.0/8 via 10.0.0.1' } }, /in no subnet/],
  ['a route that is none', { options: { 'cleat.route': '10.0.0.0/8 by 192.0.2.1' } }, /cleat\.route=.*is not allowed/],
  ['a bridge name with a quote', { options: { [bridge('name')]: 'a"b' } }, /is not allowed/],
  ['an unknown option', { options: { [bridge('nam')]: 'x' } }, /did you mean "com\.docker\.network\.bridge\.name"/],
];
for (const [what, change, words] of refusals) {
  test(`refused: ${what}`, () => {
    const outcome = (() => {
      try {
        plan(change);
        return 'accepted';
      } catch (error) {
        return (error as { line?: string }).line ?? String(error);
      }
    })();
    assert.match(outcome, words);
  });
}

test('clashes with our networks are found by bridge and by overlap, not with itself', () => {
  const known = { networkId: 'other', bridge: 'br1', pools: ['192.0.2.0/24'] };
  const wanted = { networkId: 'new', bridge: 'br2', pools: ['192.0.2.128/25'] };
  assert.is(findClash(wanted, [known])?.error.code, 'NET_SUBNET_OVERLAP');
  assert.is(findClash({ ...wanted, bridge: 'br1', pools: [] }, [known])?.error.code, 'NET_BRIDGE_TAKEN');
  assert.is(findClash({ ...wanted, pools: ['198.51.100.0/24', '2001:db8::/64'] }, [known]), undefined);
  assert.is(findClash({ ...wanted, networkId: 'other' }, [known]), undefined);
});

test('the same subnet on another interface is refused, an overlap is a warning, the bridge itself neither', () => {
  const on = (interfaceName: string, cidr: string) => [{ interfaceName, cidr }];
  assert.throws(() => checkHostSubnets(['192.0.2.0/24'], 'br1', on('eth0', '192.0.2.0/24')), /interface eth0/);
  assert.is(checkHostSubnets(['192.0.2.0/24'], 'br1', on('eth0', '192.0.0.0/16')).length, 1);
  assert.equal(checkHostSubnets(['192.0.2.0/24'], 'br1', on('br1', '192.0.2.0/24')), []);
  assert.equal(checkHostSubnets(['192.0.2.0/24'], 'br1', on('lo', '192.0.2.7/32')), []);
});

test.run();
