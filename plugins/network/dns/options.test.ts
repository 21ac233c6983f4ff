import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginError } from '../../sdk/errors.ts';
import type { EngineContainer } from '../engine/container.ts';
import type { RegistryEndpoint, RegistryNetwork } from '../registry.ts';
import { endpointContribution, namesOf, networkContribution } from './contribution.ts';
import { readEndpointOptions, readNetworkOptions } from './options.ts';
import { formatRecord } from './rdata.ts';
import type { Contribution } from './zone.ts';

const code = (expected: string) => (error: Error) => error instanceof PluginError && error.code === expected;

const endpoint: RegistryEndpoint = {
  networkId: 'n1',
  endpointId: 'e1',
  state: 'joined',
  addresses: ['192.0.2.3', '2001:db8::3'],
  options: { 'cleat.alias': 'Search,*.app' },
  sandboxKey: '/run/netns/x',
};

const container: EngineContainer = {
  id: 'f'.repeat(64),
  name: 'Web_1',
  running: true,
  paused: false,
  health: 'none',
  labels: { 'com.docker.compose.service': 'web' },
  givenMac: undefined,
  sandboxKey: '/run/netns/x',
  ports: [{ protocol: 'tcp', port: 80 }],
  dns: { servers: [], search: [], options: [] },
  networks: [
    {
      networkId: 'n1',
      networkName: 'shop',
      endpointId: 'e1',
      addresses: ['192.0.2.3'],
      macAddress: '',
      aliases: ['www'],
    },
  ],
};

function lines(contribution: Contribution): string[] {
  return [...contribution].flatMap(([name, records]) =>
    records.length === 0 ? [`${name} -`] : records.map((record) => `${name} ${formatRecord(record)}`),
  );
}

test('options have defaults, and are read', () => {
  const defaults = readNetworkOptions({ 'com.docker.network.driver.mtu': '1400' });
  assert.is(defaults.placement, 'sandbox');
  assert.is(defaults.ttl, 5);
  const given = readNetworkOptions({
    'cleat.dns': 'gateway',
    'cleat.dns.ttl': '2m',
    'cleat.dns.domain': 'Shop.Internal.',
    'cleat.dns.upstream': '192.0.2.53, [2001:db8::53]:5353, tcp://192.0.2.54',
    'cleat.dns.forward.corp.example': '192.0.2.55',
    'cleat.dns.record.db': 'A 192.0.2.5; A 192.0.2.6; TXT "a; b"'.replace('; b', ', b'),
  });
  assert.is(given.placement, 'gateway');
  assert.is(given.ttl, 120);
  assert.is(given.domain, 'shop.internal');
  assert.equal(
    given.upstreams.map((server) => server.text),
    ['192.0.2.53', '[2001:db8::53]:5353', 'tcp://192.0.2.54'],
  );
  assert.is(given.split['corp.example']?.[0]?.text, '192.0.2.55');
  assert.equal(given.records['db']?.map(formatRecord), ['A 192.0.2.5', 'A 192.0.2.6', 'TXT "a, b"']);
});

test('wrong values and unknown names are refused', () => {
  assert.throws(() => readNetworkOptions({ 'cleat.dns': 'yes' }), code('PROTO_OPTION'));
  assert.throws(() => readNetworkOptions({ 'cleat.dns.tll': '1' }), code('PROTO_OPTION_UNKNOWN'));
  assert.throws(() => readNetworkOptions({ 'cleat.dns.ttl': 'soon' }), code('PROTO_OPTION'));
  assert.throws(() => readNetworkOptions({ 'cleat.dns.upstream': 'example.org' }), code('DNS_SERVER_INVALID'));
  assert.throws(() => readNetworkOptions({ 'cleat.dns.record.db': 'MX 10 mail' }), code('DNS_RECORD_INVALID'));
  assert.throws(() => readNetworkOptions({ 'cleat.dns.record.db': 'A 2001:db8::1' }), code('DNS_RECORD_INVALID'));
  assert.throws(() => readNetworkOptions({ 'cleat.dns.record.a..b': '192.0.2.1' }), code('DNS_NAME_INVALID'));
  assert.throws(() => readEndpointOptions({ 'cleat.name': 'a..b' }), code('PROTO_OPTION'));
});

test('an endpoint is known by every name that anybody gave it', () => {
  assert.equal(namesOf(endpoint, container), [
    { name: 'web_1', reason: 'container name' },
    { name: 'search', reason: 'endpoint option cleat.alias' },
    { name: '*.app', reason: 'endpoint option cleat.alias' },
    { name: 'www', reason: 'alias' },
    { name: 'web', reason: 'compose service' },
    { name: 'ffffffffffff', reason: 'container id' },
  ]);
  assert.equal(namesOf({ ...endpoint, options: {} }, undefined, 'Asked'), [
    { name: 'asked', reason: 'request for its address' },
  ]);
  assert.equal(
    namesOf(endpoint, undefined).map(({ name }) => name),
    ['search', '*.app'],
  );
});

test('records of an endpoint: addresses, reverse names, services', () => {
  const options = readNetworkOptions({});
  const all = lines(endpointContribution(endpoint, container, options, 'shop'));
  assert.ok(all.includes('web_1 A 192.0.2.3') && all.includes('web_1 AAAA 2001:db8::3'));
  assert.ok(all.includes('3.2.0.192.in-addr.arpa PTR web_1.shop.'));
  assert.ok(
    all.includes('_http._tcp.web SRV 0 0 80 web_1.shop.') && all.includes('_80._tcp.search SRV 0 0 80 web_1.shop.'),
  );
  assert.is(all.filter((line) => line.startsWith('_') && line.includes('*')).length, 0);
  assert.is(endpointContribution({ ...endpoint, state: 'left' }, container, options, 'shop').size, 0);
  assert.is(endpointContribution({ ...endpoint, state: 'created' }, container, options, 'shop').size, 0);
});

test('a paused or unhealthy container keeps its names without addresses, unless told otherwise', () => {
  for (const state of [{ paused: true }, { health: 'unhealthy' as const }]) {
    const off = lines(endpointContribution(endpoint, { ...container, ...state }, readNetworkOptions({}), 'shop'));
    assert.ok(off.includes('web_1 -') && off.includes('_http._tcp.web -'));
    assert.ok(off.includes('3.2.0.192.in-addr.arpa PTR web_1.shop.'));
    const on = lines(
      endpointContribution(
        endpoint,
        { ...container, ...state },
        readNetworkOptions({ 'cleat.dns.health': 'off' }),
        'shop',
      ),
    );
    assert.ok(on.includes('web_1 A 192.0.2.3'));
  }
  const starting = lines(
    endpointContribution(endpoint, { ...container, health: 'starting' }, readNetworkOptions({}), 'shop'),
  );
  assert.ok(starting.includes('web_1 A 192.0.2.3'));
});

test('records of a network: its options and its gateway', () => {
  const network: RegistryNetwork = {
    networkId: 'n1',
    driver: 'cleat-bridge',
    options: {},
    internal: false,
    pools: [{ pool: '192.0.2.0/24', gateway: '192.0.2.1' }],
    hostInterface: 'cl-x',
  };
  const options = readNetworkOptions({
    'cleat.dns.record.db': '192.0.2.9',
    'cleat.dns.record.x.shop': 'CNAME db',
    'cleat.dns.domain': 'shop',
  });
  const all = lines(networkContribution(network, options));
  for (const line of [
    'host.docker.internal A 192.0.2.1',
    '_gateway A 192.0.2.1',
    'db A 192.0.2.9',
    'x CNAME db.',
    '1.2.0.192.in-addr.arpa PTR host.docker.internal.',
  ]) {
    assert.ok(all.includes(line), line);
  }
  const { hostInterface: _, ...macvlan } = network;
  assert.not(
    lines(networkContribution(macvlan, options)).some((line) => line.includes('docker')),
    'the host is not on it',
  );
});

test.run();
