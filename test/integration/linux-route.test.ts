/** Addresses, routes, neighbours and forwarding tables: written through netlink, read back by ip(8) and bridge(8). */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  addAddress,
  addFdbEntry,
  addRoute,
  appendFdbEntry,
  changeLink,
  createAnonymousNetns,
  createLink,
  createVeth,
  deleteAddress,
  deleteFdbEntry,
  deleteNeighbour,
  deleteRoute,
  getLink,
  getRoute,
  KernelError,
  listAddresses,
  listFdb,
  listNeighbours,
  listRoutes,
  type Netns,
  type Request,
  RouteSocket,
  replaceAddress,
  replaceFdbEntry,
  replaceNeighbour,
  replaceRoute,
  runCommand,
} from '../../plugins/linux/index.ts';
import { requires } from '../support/requires.ts';

requires('root', 'veth', 'bridge', 'vxlan');

interface Context {
  netns: Netns;
  route: RouteSocket;
  /** Index of eth0, which is up and whose other end is peer0. */
  link: number;
}

const test = suite<Context>('addresses, routes, neighbours');

test.before.each((context) => {
  context.netns = createAnonymousNetns();
  context.route = new RouteSocket(context.netns);
  context.route.apply(
    createVeth({ name: 'eth0', up: true, peer: { name: 'peer0' } }),
    changeLink('peer0', { up: true }),
    changeLink('lo', { up: true }),
  );
  context.link = getLink(context.route, 'eth0').index;
});

test.after.each(({ netns, route }) => {
  route.close();
  netns.close();
});

async function show(netns: Netns, file: string, ...args: string[]): Promise<Record<string, unknown>[]> {
  const { stdout } = await runCommand(file, ['-json', '-details', ...args], { timeoutMs: 5000, netns });
  return JSON.parse(stdout || '[]') as Record<string, unknown>[];
}

function refusal(route: RouteSocket, request: Request): string | undefined {
  return route.attempt([request])[0]?.code;
}

test('addresses of both families: add, again, replace, delete, again', async ({ netns, route, link }) => {
  const four = { link, address: '192.0.2.1/24', broadcast: '192.0.2.255' };
  const six = { link, address: '2001:db8::1/64', noDad: true, noPrefixRoute: true };
  route.apply(addAddress(four), addAddress(six));
  assert.is(refusal(route, addAddress(four)), 'EEXIST');
  assert.is(refusal(route, addAddress(six)), 'EEXIST');
  route.apply(replaceAddress({ ...six, validSeconds: 600, preferredSeconds: 300 }));
  const [shown] = await show(netns, 'ip', 'address', 'show', 'dev', 'eth0', 'scope', 'global');
  const infos = ((shown?.['addr_info'] ?? []) as Record<string, unknown>[]).filter((info) => info['local']);
  assert.equal(
    infos.map((info) => [info['local'], info['prefixlen'], info['broadcast'] ?? null]),
    [
      ['192.0.2.1', 24, '192.0.2.255'],
      ['2001:db8::1', 64, null],
    ],
  );
  const lifetime = infos[1]?.['valid_life_time'] as number;
  assert.ok(lifetime > 500 && lifetime <= 600);
  assert.equal(
    listAddresses(route, { link })
      .filter((address) => address.scope === 'global')
      .map((address) => [address.family, address.address, address.prefixLength, address.permanent, address.tentative]),
    [
      [4, '192.0.2.1', 24, true, false],
      [6, '2001:db8::1', 64, false, false],
    ],
  );
  assert.equal(listAddresses(route, { link, family: 4 }).length, 1);
  assert.not(listRoutes(route, { family: 6, table: 254 }).some((found) => found.destination === '2001:db8::/64'));
  route.apply(deleteAddress(four), deleteAddress(six));
  assert.is(refusal(route, deleteAddress(four)), 'EADDRNOTAVAIL');
});

test('routes: gateway, onlink, table, metric, source, MTU, blackhole; both families', async ({
  netns,
  route,
  link,
}) => {
  route.apply(
    addAddress({ link, address: '192.0.2.1/24' }),
    addAddress({ link, address: '2001:db8::1/64', noDad: true }),
  );
  const routes = [
    { destination: '0.0.0.0/0', gateway: '192.0.2.254', metric: 7 },
    { destination: '::/0', gateway: '2001:db8::fe', metric: 7 },
    { destination: '198.51.100.0/24', gateway: '203.0.113.1', link, onlink: true, mtu: 1400 },
    { destination: '198.51.101.0/24', gateway: 'fe80::1', link },
    { destination: '10.0.0.0/8', link, source: '192.0.2.1', table: 1234 },
    { destination: '10.1.0.0/16', type: 'blackhole' },
    { destination: '2001:db8:1::/48', type: 'unreachable' },
  ] as const;
  route.apply(...routes.map(addRoute));
  for (const one of routes) assert.is(refusal(route, addRoute(one)), 'EEXIST', one.destination);
  const four = await show(netns, 'ip', 'route', 'show', 'table', 'all', 'scope', 'global');
  const words = (destination: string) => four.find((found) => found['dst'] === destination);
  assert.equal([words('default')?.['gateway'], words('default')?.['metric']], ['192.0.2.254', 7]);
  assert.equal(words('198.51.100.0/24')?.['flags'], ['onlink']);
  assert.equal(words('198.51.100.0/24')?.['metrics'], [{ mtu: 1400 }]);
  assert.equal(words('198.51.101.0/24')?.['via'], { family: 'inet6', host: 'fe80::1' });
  assert.is(words('10.1.0.0/16')?.['type'], 'blackhole');
  const listed = listRoutes(route);
  for (const one of routes) {
    const found = listed.find((candidate) => candidate.destination === one.destination);
    assert.equal({ ...found, ...one }, found, one.destination);
  }
  assert.equal(
    listRoutes(route, { table: 1234 }).map((found) => found.destination),
    ['10.0.0.0/8'],
  );
  assert.is(getRoute(route, '203.0.113.77').gateway, '192.0.2.254');
  assert.is(getRoute(route, '2001:db8:ff::1').gateway, '2001:db8::fe');
  assert.is(getRoute(route, '127.0.0.1').type, 'local');
  route.apply(replaceRoute({ ...routes[0], gateway: '192.0.2.253' }));
  assert.is(getRoute(route, '203.0.113.77').gateway, '192.0.2.253');
  route.apply(
    ...routes.map(({ destination, ...rest }) =>
      deleteRoute({ destination, ...('table' in rest && { table: rest.table }) }),
    ),
  );
  for (const one of routes) assert.is(refusal(route, deleteRoute(one)), 'ESRCH', one.destination);
  for (const destination of ['203.0.113.77', '2001:db8:ff::1']) {
    try {
      getRoute(route, destination);
      assert.unreachable(`${destination} has a route`);
    } catch (error) {
      assert.ok(error instanceof KernelError && error.code === 'ENETUNREACH', String(error));
    }
  }
});

test('neighbours and proxy entries', async ({ netns, route, link }) => {
  const entries = [
    { link, address: '192.0.2.9', mac: '02:00:00:00:00:09' },
    { link, address: '2001:db8::9', mac: '02:00:00:00:00:09', router: true },
  ];
  const proxy = { link, address: '192.0.2.77', proxy: true };
  route.apply(...entries.map(replaceNeighbour), replaceNeighbour(proxy));
  route.apply(replaceNeighbour({ link, address: '192.0.2.9', mac: '02:00:00:00:00:0a' }));
  const shown = await show(netns, 'ip', 'neighbour', 'show', 'dev', 'eth0', 'nud', 'permanent');
  assert.equal(shown.map((entry) => `${entry['dst']} ${entry['lladdr']}`).sort(), [
    '192.0.2.9 02:00:00:00:00:0a',
    '2001:db8::9 02:00:00:00:00:09',
  ]);
  assert.is(listNeighbours(route, { link, family: 6 }).find((entry) => entry.address === '2001:db8::9')?.router, true);
  assert.equal(
    listNeighbours(route, { proxy: true }).map((entry) => entry.address),
    ['192.0.2.77'],
  );
  route.apply(...entries.map(deleteNeighbour), deleteNeighbour(proxy));
  assert.is(refusal(route, deleteNeighbour(proxy)), 'ENOENT');
});

test('forwarding tables of a bridge and of a VXLAN', async ({ netns, route, link }) => {
  route.apply(
    createLink({ name: 'br0', kind: 'bridge', up: true }),
    createLink({ name: 'cx1', kind: 'vxlan', up: true, options: { id: 7, port: 4789, local: '192.0.2.1' } }),
  );
  const bridge = getLink(route, 'br0').index;
  const vxlan = getLink(route, 'cx1').index;
  route.apply(changeLink(link, { master: bridge }), changeLink(vxlan, { master: bridge }));
  const everybody = { link: vxlan, mac: '00:00:00:00:00:00', table: 'self', lifetime: 'permanent' } as const;
  const behind = {
    link: vxlan,
    mac: '02:00:00:00:00:09',
    destination: '192.0.2.9',
    vni: 8,
    port: 4790,
    table: 'self',
  } as const;
  const static0 = { link, mac: '02:00:00:00:00:10', table: 'master' } as const;
  route.apply(
    appendFdbEntry({ ...everybody, destination: '192.0.2.9' }),
    appendFdbEntry({ ...everybody, destination: '192.0.2.10' }),
    addFdbEntry(behind),
    addFdbEntry(static0),
  );
  route.apply(replaceFdbEntry({ ...behind, destination: '192.0.2.11' }));
  assert.is(refusal(route, addFdbEntry(static0)), 'EEXIST');
  const { stdout } = await runCommand('bridge', ['fdb', 'show', 'dev', 'cx1'], { timeoutMs: 5000, netns });
  assert.match(stdout, /^00:00:00:00:00:00 dst 192\.0\.2\.9 self permanent$/m);
  assert.match(stdout, /^00:00:00:00:00:00 dst 192\.0\.2\.10 self permanent$/m);
  assert.match(stdout, /^02:00:00:00:00:09 dst 192\.0\.2\.11 port 4790 vni 8 self static$/m);
  const own = listFdb(route, { link: vxlan }).filter((entry) => entry.table === 'self');
  assert.equal(own.map((entry) => `${entry.mac} ${entry.destination} ${entry.vni ?? '-'} ${entry.lifetime}`).sort(), [
    '00:00:00:00:00:00 192.0.2.10 - permanent',
    '00:00:00:00:00:00 192.0.2.9 - permanent',
    '02:00:00:00:00:09 192.0.2.11 8 static',
  ]);
  const ports = listFdb(route, { bridge });
  assert.ok(ports.some((entry) => entry.mac === static0.mac && entry.link === link && entry.lifetime === 'static'));
  assert.ok(ports.every((entry) => entry.bridge === bridge));
  route.apply(
    deleteFdbEntry({ ...everybody, destination: '192.0.2.9' }),
    deleteFdbEntry({ ...behind, destination: '192.0.2.11' }),
    deleteFdbEntry(static0),
  );
  assert.is(refusal(route, deleteFdbEntry(static0)), 'ENOENT');
  assert.equal(
    listFdb(route, { link: vxlan })
      .filter((entry) => entry.table === 'self')
      .map((entry) => entry.destination),
    ['192.0.2.10'],
  );
});

test.run();
