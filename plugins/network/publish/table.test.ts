import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type NetworkRules, networkChains } from './rules.ts';
import { addNetworkText, chainText, elementsText, removeNetworkText, skeleton, wholeTableText } from './table.ts';

const network: NetworkRules = {
  key: 'abc',
  interfaceName: 'cl-abc',
  wholeInterface: true,
  internal: false,
  interContainer: true,
  ipv4: { pools: ['192.0.2.0/24'], inbound: 'nat', source: 'masquerade' },
  ipv6: { pools: [], inbound: 'nat', source: 'masquerade' },
  trustedInterfaces: [],
};

const textOf = (rules: NetworkRules) =>
  new Map(networkChains(rules).map((chain) => [chain.name, chainText(chain, rules)]));

test('a plain network: in by published ports and answers, out with the address of the host', () => {
  assert.equal(Object.fromEntries(textOf(network)), {
    'from-abc': ['oifname "cl-abc" goto admit'],
    'to-abc': ['ct state established,related goto admit', 'ct status dnat goto admit', 'drop'],
    'outside-abc': ['goto admit'],
    'into-abc': ['ct status dnat ip saddr { 192.0.2.0/24 } masquerade', 'ip saddr { 127.0.0.0/8 } masquerade'],
    'leave-abc': ['oifname "cl-abc" return', 'ip saddr { 192.0.2.0/24 } masquerade'],
  });
});

test('internal, without connections between containers', () => {
  const chains = textOf({ ...network, internal: true, interContainer: false });
  assert.equal(chains.get('from-abc'), [
    'oifname "cl-abc" ct state established,related goto admit',
    'oifname "cl-abc" ct status dnat goto admit',
    'oifname "cl-abc" ip saddr . ip daddr . meta l4proto . th dport @links4 goto admit',
    'oifname "cl-abc" drop',
    'drop',
  ]);
  assert.equal(chains.get('to-abc'), ['ct state established,related goto admit', 'drop']);
  assert.equal(chains.get('leave-abc'), ['oifname "cl-abc" return']);
});

test('routed: published ports and ICMP are let in by address; open: everything of the family', () => {
  const rules = { pools: ['2001:db8::/64'], source: 'keep' } as const;
  const routed = textOf({ ...network, ipv6: { ...rules, inbound: 'routed' } });
  assert.equal(routed.get('to-abc'), [
    'ct state established,related goto admit',
    'ct status dnat goto admit',
    'meta nfproto ipv6 meta l4proto ipv6-icmp goto admit',
    'ip6 daddr . meta l4proto . th dport @open6 goto admit',
    'ip6 daddr . meta l4proto . th dport @open6_ranges goto admit',
    'drop',
  ]);
  assert.is(
    routed.get('leave-abc')?.some((rule) => rule.startsWith('ip6')),
    false,
  );
  const open = textOf({ ...network, ipv6: { ...rules, inbound: 'open' } });
  assert.ok(open.get('to-abc')?.includes('meta nfproto ipv6 goto admit'));
});

test('a bridge that was there before: rules speak of our subnets only', () => {
  const chains = textOf({ ...network, wholeInterface: false });
  assert.equal(chains.get('to-abc')?.slice(0, 2), ['ip daddr != { 192.0.2.0/24 } return', 'meta nfproto ipv6 return']);
  assert.equal(chains.get('outside-abc')?.[0], 'ip saddr != { 192.0.2.0/24 } return');
  assert.not(addNetworkText({ ...network, wholeInterface: false }).includes('element inet cleat bridges'));
});

test('a chosen source address and trusted interfaces', () => {
  const chains = textOf({
    ...network,
    ipv4: { ...network.ipv4, source: { address: '198.51.100.7' } },
    trustedInterfaces: ['eth1', 'eth2'],
  });
  assert.ok(chains.get('leave-abc')?.includes('ip saddr { 192.0.2.0/24 } snat ip to 198.51.100.7'));
  assert.ok(chains.get('to-abc')?.includes('iifname { "eth1", "eth2" } goto admit'));
});

test('adding twice and removing are written so that the kernel takes them', () => {
  const lines = addNetworkText(network).split('\n');
  assert.equal(lines.slice(0, 2), ['add chain inet cleat from-abc', 'flush chain inet cleat from-abc']);
  assert.is(lines.at(-6), 'add element inet cleat from { "cl-abc" : jump from-abc }');
  // A chain that something still jumps to cannot be deleted: elements go first.
  assert.is(removeNetworkText(network).split('\n')[0], 'delete element inet cleat from { "cl-abc" }');
});

test('elements of one set make one command; a deletion names keys only', () => {
  const elements = [
    { set: 'publish4', key: 'tcp . 80', data: '192.0.2.2 . 80' },
    { set: 'publish4', key: 'tcp . 81', data: '192.0.2.2 . 81' },
    { set: 'loopback6', key: 'tcp . 80' },
  ];
  assert.is(
    elementsText('add', elements),
    'add element inet cleat publish4 { tcp . 80 : 192.0.2.2 . 80, tcp . 81 : 192.0.2.2 . 81 }\nadd element inet cleat loopback6 { tcp . 80 }',
  );
  assert.is(elementsText('delete', elements.slice(0, 1)), 'delete element inet cleat publish4 { tcp . 80 }');
});

test('redirections exist only where the proxy listens', () => {
  assert.not(skeleton().includes('redirect'));
  assert.ok(skeleton(40000).includes('@loopback6 meta l4proto { tcp, udp } redirect to :40000'));
  assert.ok(wholeTableText({ networks: [], ports: [] }).startsWith('add table inet cleat\ndelete table inet cleat\n'));
});

test.run();
