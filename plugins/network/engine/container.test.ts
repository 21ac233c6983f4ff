import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readContainer, readNetworks } from './container.ts';
import { parseEngineSockets } from './engine-sockets.ts';

const id = 'f'.repeat(64);

test('a container as Docker shows it', () => {
  const container = readContainer({
    Id: id,
    Name: '/web',
    State: { Running: true, Paused: false, Health: { Status: 'unhealthy' } },
    Config: { ExposedPorts: { '443/tcp': {}, '53/udp': {} }, Labels: { a: 'b', odd: 7 } },
    HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] }, Dns: ['192.0.2.53'], DnsSearch: null },
    NetworkSettings: {
      SandboxKey: '/var/run/docker/netns/x',
      Networks: {
        shop: {
          NetworkID: 'n',
          EndpointID: 'e',
          IPAddress: '192.0.2.2',
          MacAddress: '02:00:5e:00:53:02',
          GlobalIPv6Address: '',
          Aliases: ['www', id.slice(0, 12)],
          DNSNames: ['web', 'www'],
        },
      },
    },
  });
  assert.is(container?.name, 'web');
  assert.is(container?.health, 'unhealthy');
  assert.is(container?.givenMac, undefined);
  assert.equal(
    container?.ports.map(({ protocol, port }) => `${port}/${protocol}`),
    ['53/udp', '80/tcp', '443/tcp'],
  );
  assert.equal(container?.labels, { a: 'b' });
  assert.equal(container?.dns, { servers: ['192.0.2.53'], search: [], options: [] });
  assert.equal(container?.networks, [
    {
      networkName: 'shop',
      networkId: 'n',
      endpointId: 'e',
      addresses: ['192.0.2.2'],
      macAddress: '02:00:5e:00:53:02',
      aliases: ['www', id.slice(0, 12), 'web'],
    },
  ]);
});

test('a container that has almost nothing, and replies that are none', () => {
  const bare = readContainer({ Id: id });
  assert.equal([bare?.running, bare?.health, bare?.networks.length, bare?.sandboxKey], [false, 'none', 0, '']);
  for (const body of [undefined, null, 'x', [], {}, { Id: '../..' }]) assert.is(readContainer(body), undefined);
  assert.equal(readNetworks(null), []);
  assert.equal(readNetworks([{ Id: 'n', Name: 'shop', Driver: 'cleat-bridge' }, { Name: 'no id' }, 7]), [
    { id: 'n', name: 'shop', driver: 'cleat-bridge', labels: {} },
  ]);
});

test('engine sockets are absolute paths; the usual ones without a word', () => {
  assert.ok(parseEngineSockets(undefined).includes('/run/docker.sock'));
  assert.equal(parseEngineSockets([]), []);
  assert.throws(() => parseEngineSockets(['docker.sock']), /absolute/);
  assert.throws(() => parseEngineSockets('x'), /list/);
});

test.run();
