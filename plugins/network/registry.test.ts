import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { NetworkRegistry, type RegistryEndpoint, type RegistryNetwork } from './registry.ts';

const network: RegistryNetwork = {
  networkId: 'n1',
  driver: 'cleat-bridge',
  options: {},
  internal: false,
  pools: [{ pool: '192.0.2.0/24', gateway: '192.0.2.1' }],
};
const endpoint: RegistryEndpoint = {
  networkId: 'n1',
  endpointId: 'e1',
  state: 'created',
  addresses: ['192.0.2.2'],
  options: {},
};

test('tells every change in order and removes endpoints with their network', () => {
  const registry = new NetworkRegistry();
  const seen: string[] = [];
  const end = registry.subscribe((event) => seen.push(event.kind));
  registry.putNetwork(network);
  registry.putEndpoint(endpoint);
  registry.putEndpoint({ ...endpoint, state: 'joined' });
  assert.is(registry.endpoints('n1')[0]?.state, 'joined');
  registry.removeNetwork('n1');
  end();
  registry.putNetwork(network);
  assert.equal(seen, ['network-added', 'endpoint-added', 'endpoint-changed', 'endpoint-removed', 'network-removed']);
  assert.equal(registry.endpoints(), []);
});

test('a listener that throws disturbs nobody', () => {
  const errors: unknown[] = [];
  const registry = new NetworkRegistry((error) => errors.push(error));
  let told = 0;
  registry.subscribe(() => {
    throw new Error('broken listener');
  });
  registry.subscribe(() => {
    told += 1;
  });
  registry.putNetwork(network);
  assert.is(errors.length, 1);
  assert.is(told, 1);
});

test('removing what is not there is nothing; an endpoint needs its network', () => {
  const registry = new NetworkRegistry();
  registry.removeNetwork('n1');
  registry.removeEndpoint('e1');
  assert.throws(() => registry.putEndpoint(endpoint), /unknown network n1/);
});

test.run();
