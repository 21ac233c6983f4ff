import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CallReport } from './call-runner.ts';
import { PluginError } from './errors.ts';
import type { IpamDriver } from './ipam-plugin.ts';
import type { NetworkDriver } from './network-plugin.ts';
import { servePlugin } from './serve.ts';
import type { VolumeDriver } from './volume-plugin.ts';

const id = 'a'.repeat(64);

function volume(more: Partial<VolumeDriver> = {}): VolumeDriver {
  return {
    capabilities: { scope: 'local' },
    create: async () => undefined,
    get: async ({ name }) => (name === 'there' ? { name } : undefined),
    list: async () => [],
    mount: async () => '/mnt/v',
    unmount: async () => undefined,
    path: async () => undefined,
    remove: async () => undefined,
    ...more,
  };
}

function network(more: Partial<NetworkDriver> = {}): NetworkDriver {
  const nothing = async () => undefined;
  return {
    capabilities: { scope: 'local' },
    createNetwork: nothing,
    deleteNetwork: nothing,
    createEndpoint: async () => ({}),
    deleteEndpoint: nothing,
    endpointOperInfo: async () => ({}),
    join: async () => ({ interfaceName: { srcName: 'v0', dstPrefix: 'eth' } }),
    leave: nothing,
    programExternalConnectivity: nothing,
    revokeExternalConnectivity: nothing,
    ...more,
  };
}

const ipam: IpamDriver = {
  capabilities: { requiresMacAddress: false, requiresRequestReplay: false },
  getDefaultAddressSpaces: async () => ({ local: 'l', global: 'g' }),
  requestPool: async () => ({ poolId: 'p', pool: '192.0.2.0/24' }),
  releasePool: async () => undefined,
  requestAddress: async () => {
    throw new PluginError('PROTO_OPTION', 'the pool is full');
  },
  releaseAddress: async () => undefined,
};

type App = ReturnType<typeof servePlugin>;

async function call(app: App, method: string, body?: unknown, headers: Record<string, string> = {}) {
  const payload = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  const reply = await app.inject({ method: 'POST', url: `/${method}`, headers: { host: '', ...headers }, payload });
  return { status: reply.statusCode, body: reply.json() as Record<string, unknown> };
}

test('activation names the kinds, and tells the driver who activates', async () => {
  const clients: string[] = [];
  const app = servePlugin({ name: 'p', ipam, volume: volume({ activated: (client) => void clients.push(client) }) });
  const docker = { accept: 'application/vnd.docker.plugins.v1.2+json' };
  assert.equal((await call(app, 'Plugin.Activate', undefined, docker)).body, {
    Implements: ['IpamDriver', 'VolumeDriver'],
  });
  await call(app, 'Plugin.Activate', undefined, { ...docker, host: 'plugin.moby.localhost' });
  await call(app, 'Plugin.Activate', undefined, {
    host: 'plugin',
    'content-type': 'application/vnd.docker.plugins.v1.1+json',
  });
  await call(app, 'Plugin.Activate', '{}', { 'user-agent': 'curl' });
  assert.equal(clients, ['docker', 'docker', 'podman', 'other']);
  await app.close();
});

test('bodies are read whatever their type, calls without one need none', async () => {
  const app = servePlugin({ name: 'p', volume: volume() });
  for (const type of [undefined, 'application/json', 'text/plain', 'application/vnd.docker.plugins.v1.1+json', 'x']) {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
    assert.equal((await call(app, 'VolumeDriver.Get', { Name: 'there' }, headers)).body['Volume'], {
      Name: 'there',
      Mountpoint: '',
    });
  }
  for (const body of [undefined, '{}', '{}\n', 'null']) {
    assert.equal(await call(app, 'VolumeDriver.List', body), { status: 200, body: { Volumes: [] } });
  }
  await app.close();
});

test('errors travel in Err with status 200, for IPAM in Error as well', async () => {
  const app = servePlugin({ name: 'p', ipam, volume: volume() });
  const missing = await call(app, 'VolumeDriver.Get', { Name: 'gone' });
  assert.equal(missing, { status: 200, body: { Err: 'no volume is named "gone" [VOL_NOT_FOUND]' } });
  const line = 'the pool is full [PROTO_OPTION]';
  const full = await call(app, 'IpamDriver.RequestAddress', { PoolID: 'p' });
  assert.equal(full, { status: 200, body: { Error: line, Err: line } });
  const empty = await call(app, 'IpamDriver.RequestPool', '');
  assert.match(String(empty.body['Error']), /PROTO_BODY/);
  await app.close();
});

test('unknown paths and methods are 404 with Err, other subsystems too', async () => {
  const app = servePlugin({ name: 'p', volume: volume() });
  for (const path of ['VolumeDriver.Nonsense', 'NetworkDriver.Join', 'volumedriver.list', '', 'x/y']) {
    const { status, body } = await call(app, path, {});
    assert.is(status, 404, path);
    assert.match(String(body['Err']), /is no method of this plugin \[PROTO_METHOD\]/);
  }
  const get = await app.inject({ method: 'GET', url: '/VolumeDriver.List' });
  assert.is(get.statusCode, 404);
  assert.match(get.body, /Err/);
  await app.close();
});

test('what a driver throws by mistake is an internal error, and so is a reply that engines misread', async () => {
  const broken = volume({
    create: async () => {
      throw new TypeError('cannot read x');
    },
    mount: async () => 'relative',
    get: async () => ({ name: 'other' }),
    list: async () => [{ name: 'v', createdAt: new Date(Number.NaN) }],
  });
  const app = servePlugin({ name: 'p', volume: broken });
  const text = async (method: string) =>
    String((await call(app, `VolumeDriver.${method}`, { Name: 'v', ID: id })).body['Err']);
  assert.is(await text('Create'), 'internal error: cannot read x [PROTO_INTERNAL]');
  assert.match(await text('Mount'), /mountpoint "relative" of volume "v" is no absolute path \[PROTO_REPLY\]/);
  assert.match(await text('Get'), /asked for volume "v", the driver answered "other" \[PROTO_REPLY\]/);
  assert.match(await text('List'), /invalid creation time \[PROTO_REPLY\]/);
  await app.close();
});

test('replies to Join and CreateEndpoint are checked before an engine sees them', async () => {
  const ids = { NetworkID: id, EndpointID: id };
  const replyTo = async (driver: Partial<NetworkDriver>, method: string, more: object) => {
    const app = servePlugin({ name: 'p', network: network(driver) });
    const { body } = await call(app, `NetworkDriver.${method}`, { ...ids, ...more });
    await app.close();
    return body;
  };
  const join = { SandboxKey: '/run/netns/x' };
  const link = { srcName: 'v0', dstPrefix: 'eth' };
  const wrong = async (reply: object) =>
    String((await replyTo({ join: async () => ({ interfaceName: link, ...reply }) }, 'Join', join))['Err']);
  assert.match(await wrong({ interfaceName: { ...link, srcName: 'x'.repeat(16) } }), /is no link name/);
  assert.match(await wrong({ gateway: '192.0.2.1/24' }), /is no IPv4 address/);
  assert.match(await wrong({ gatewayIPv6: '192.0.2.1' }), /is no IPv6 address/);
  assert.match(await wrong({ staticRoutes: [{ destination: '192.0.2.1' }] }), /not in CIDR form/);
  assert.match(await wrong({ staticRoutes: [{ destination: '192.0.2.0/24', nextHop: 'x' }] }), /is no address/);
  const given = { Interface: { Address: '192.0.2.2/24', MacAddress: '' } };
  const create = (reply: object) => replyTo({ createEndpoint: async () => reply }, 'CreateEndpoint', given);
  assert.equal(await create({ address: '192.0.2.2/24' }), {}, 'the same value is left out');
  assert.match(String((await create({ address: '192.0.2.3/24' }))['Err']), /changed Address from/);
  assert.equal(await create({ macAddress: '02:00:00:00:00:01' }), { Interface: { MacAddress: '02:00:00:00:00:01' } });
  assert.match(String((await create({ macAddress: 'x' }))['Err']), /is not a MAC address/);
});

test('a handler that is too slow is answered for, told so, and keeps its place until it ends', async () => {
  const order: string[] = [];
  const slow = Promise.withResolvers<void>();
  const driver = volume({
    async remove({ name }, signal) {
      order.push(`start ${name}`);
      signal.addEventListener('abort', () => order.push('aborted'));
      if (order.length === 1) await slow.promise;
      order.push('end');
    },
  });
  const app = servePlugin({ name: 'p', volume: driver, deadlinesMs: { 'VolumeDriver.Remove': 30 } });
  const first = call(app, 'VolumeDriver.Remove', { Name: 'v' });
  const second = call(app, 'VolumeDriver.Remove', { Name: 'v' });
  const line = 'VolumeDriver.Remove was not done within 30 ms [PROTO_DEADLINE]';
  assert.equal((await first).body, { Err: line });
  assert.equal((await second).body, { Err: line }, 'waiting counts');
  assert.equal(order, ['start v', 'aborted']);
  slow.resolve();
  assert.equal((await call(app, 'VolumeDriver.Remove', { Name: 'v' })).body, {});
  assert.equal(order, ['start v', 'aborted', 'end', 'start v', 'end'], 'the second never started');
  await app.close();
});

test('calls for one volume wait for each other; Get, other volumes and endpoints do not', async () => {
  const gate = Promise.withResolvers<void>();
  const seen: string[] = [];
  const waiting = (what: string) => async (request: { name?: string; endpointId?: string; networkId?: string }) => {
    seen.push(`${what} ${request.name ?? request.endpointId ?? request.networkId}`);
    if (seen.length === 1) await gate.promise;
  };
  const app = servePlugin({
    name: 'p',
    volume: volume({ create: waiting('create'), remove: waiting('remove') }),
    network: network({ deleteEndpoint: waiting('delete'), leave: waiting('leave'), deleteNetwork: waiting('network') }),
  });
  const first = call(app, 'VolumeDriver.Create', { Name: 'a' });
  const queued = call(app, 'VolumeDriver.Remove', { Name: 'a' });
  await call(app, 'VolumeDriver.Get', { Name: 'a' });
  await call(app, 'VolumeDriver.Create', { Name: 'b' });
  await call(app, 'NetworkDriver.Leave', { NetworkID: id, EndpointID: '1' });
  assert.equal(seen, ['create a', 'create b', 'leave 1']);
  gate.resolve();
  await Promise.all([first, queued]);
  assert.equal(seen.at(-1), 'remove a');
  await app.close();
});

test('optional methods that a driver lacks are refused; cluster news are taken and forgotten', async () => {
  const app = servePlugin({ name: 'p', network: network() });
  const check = await call(app, 'NetworkDriver.GwAllocCheck', { Options: {} });
  assert.match(String(check.body['Err']), /PROTO_UNSUPPORTED/);
  assert.equal((await call(app, 'NetworkDriver.DiscoverNew', { DiscoveryType: 1 })).body, {});
  await app.close();
});

test('idle connections are never closed from here', async () => {
  const app = servePlugin({ name: 'p', volume: volume() });
  await app.ready();
  assert.is(app.server.keepAliveTimeout, 0);
  await app.close();
});

test('any bytes as a body are answered in JSON, and reach the driver only when they are a request', async () => {
  const reached: string[] = [];
  const driver = volume({
    create: async ({ name }) => void reached.push(name),
    mount: async ({ name }) => `/mnt/${reached.push(name)}`,
  });
  const app = servePlugin({ name: 'p', volume: driver, network: network(), ipam });
  const methods = [
    'VolumeDriver.Create',
    'VolumeDriver.Mount',
    'NetworkDriver.CreateNetwork',
    'IpamDriver.RequestPool',
  ];
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  const bodies = fc.oneof(
    bytes,
    fc.json().map((text) => Buffer.from(text)),
    fc.string().map((text) => Buffer.from(text)),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...methods), bodies, async (method, payload) => {
      const reply = await app.inject({ method: 'POST', url: `/${method}`, payload });
      assert.is(reply.statusCode, 200);
      const field = method.startsWith('Ipam') ? 'Error' : 'Err';
      assert.match(String((reply.json() as Record<string, unknown>)[field]), /\[PROTO_BODY\]$/);
    }),
    { numRuns: 300 },
  );
  assert.equal(reached, []);
  await app.close();
});

test('every call is reported to the observer', async () => {
  const reports: CallReport[] = [];
  const app = servePlugin({ name: 'p', volume: volume() }, { onCall: (report) => reports.push(report) });
  await call(app, 'VolumeDriver.Create', { Name: 'v' });
  await call(app, 'VolumeDriver.Get', { Name: 'v' });
  assert.equal(
    reports.map(({ method, error }) => [method, error instanceof PluginError ? error.code : error]),
    [
      ['VolumeDriver.Create', undefined],
      ['VolumeDriver.Get', 'VOL_NOT_FOUND'],
    ],
  );
  assert.ok(reports.every((report) => report.durationMs >= 0 && report.plugin === 'p'));
  await app.close();
});

test.run();
