/** Links made through netlink in fresh namespaces, read back by ip(8), and gone again. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  applyOnThread,
  changeBridgePort,
  changeLink,
  changeLinkOptions,
  createAnonymousNetns,
  createLink,
  createVeth,
  deleteLink,
  deleteLinkGroup,
  findLink,
  getLink,
  isKernelError,
  KernelError,
  type Link,
  listLinks,
  monitorRoutes,
  type Netns,
  RouteSocket,
  runCommand,
} from '../../plugins/linux/index.ts';
import { eventually } from '../support/deadline.ts';
import { requires } from '../support/requires.ts';

requires('root', 'veth', 'bridge', 'vxlan', 'macvlan');

interface Context {
  netns: Netns;
  other: Netns;
  route: RouteSocket;
}

type IpLink = Record<string, unknown> & {
  linkinfo: { info_data: Record<string, unknown>; info_slave_data: Record<string, unknown> };
};

const test = suite<Context>('links');

test.before.each((context) => {
  context.netns = createAnonymousNetns();
  context.other = createAnonymousNetns();
  context.route = new RouteSocket(context.netns);
});

test.after.each(({ netns, other, route }) => {
  for (const resource of [route, other, netns]) resource.close();
});

async function ipLink(netns: Netns, name: string): Promise<IpLink> {
  const { stdout } = await runCommand('ip', ['-json', '-details', 'link', 'show', 'dev', name], {
    timeoutMs: 5000,
    netns,
  });
  return (JSON.parse(stdout) as [IpLink])[0];
}

function codeOf(fn: () => unknown): string | undefined {
  try {
    fn();
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
  return undefined;
}

test('a bridge with its options', async ({ netns, route }) => {
  const options = { stp: false, forwardDelay: 300, multicastSnooping: false, ageingTime: 12_000 };
  route.apply(
    createLink({
      name: 'br0',
      kind: 'bridge',
      mtu: 1400,
      mac: '02:00:00:00:00:01',
      up: true,

      options,
    }),
  );
  route.apply(changeLink('br0', { alias: 'net one' }));
  const shown = await ipLink(netns, 'br0');
  assert.equal([shown['mtu'], shown['address'], shown['ifalias']], [1400, '02:00:00:00:00:01', 'net one']);
  const data = shown.linkinfo.info_data;
  assert.equal(
    [data['stp_state'], data['forward_delay'], data['ageing_time'], data['mcast_snooping']],
    [0, 300, 12_000, 0],
  );
  const link = getLink(route, 'br0');
  assert.equal({ ...link.options, ...options }, link.options);
  assert.is(link.alias, 'net one');
  route.apply(changeLinkOptions('br0', 'bridge', { multicastSnooping: true, groupForwardMask: 8 }));
  const changed = (await ipLink(netns, 'br0')).linkinfo.info_data;
  assert.equal([changed['mcast_snooping'], changed['group_fwd_mask']], [1, '0x8']);
});

test('a veth pair born in two namespaces, a port of a bridge in the same batch', async ({ netns, other, route }) => {
  route.apply(createLink({ name: 'br0', kind: 'bridge', up: true }));
  const master = getLink(route, 'br0').index;
  const peer = { name: 'eth0', netnsFd: other.fd, mac: '02:00:00:00:00:05', index: 701, mtu: 1300 };
  route.apply(
    createVeth({ name: 'cv0', index: 700, master, up: true, group: 9, txQueueLength: 50, peer }),
    changeBridgePort('cv0', {
      isolated: true,
      hairpin: true,
      learning: false,
      flood: false,
      multicastFlood: false,
      neighbourSuppress: true,
    }),
  );
  const shown = await ipLink(netns, 'cv0');
  assert.equal([shown['ifindex'], shown['master'], shown['group'], shown['txqlen']], [700, 'br0', '9', 50]);
  const port = shown.linkinfo.info_slave_data;
  assert.equal(
    ['isolated', 'hairpin', 'learning', 'flood', 'mcast_flood', 'neigh_suppress', 'bcast_flood'].map(
      (name) => port[name],
    ),
    [true, true, false, false, false, true, true],
  );
  const inside = await ipLink(other, 'eth0');
  assert.equal([inside['ifindex'], inside['address'], inside['mtu']], [701, '02:00:00:00:00:05', 1300]);
  assert.is(getLink(route, 700).bridgePort?.isolated, true);
  assert.equal(
    listLinks(route, { master }).map((link) => link.name),
    ['cv0'],
  );
  assert.equal(
    listLinks(route, { kind: 'veth' }).map((link) => link.parent),
    [701],
  );
  route.apply(changeLink('cv0', { master: 0 }));
  assert.is(getLink(route, 'cv0').master, 0);
});

test('rename and move into another namespace, as a container gets its link', async ({ other, route }) => {
  route.apply(createVeth({ name: 'cv1', peer: { name: 'tmp1' } }));
  const { index } = getLink(route, 'tmp1');
  route.apply(changeLink(index, { netnsFd: other.fd, name: 'eth7' }));
  assert.is(findLink(route, 'tmp1'), undefined);
  assert.is((await ipLink(other, 'eth7'))['operstate'], 'DOWN');
});

test('vxlan and macvlan with their options', async ({ netns, route }) => {
  const options = {
    id: 4097,
    local: '2001:db8::1',
    port: 4789,
    learning: false,
    proxy: true,
    l2miss: true,
    l3miss: true,
    ttl: 9,
  };
  route.apply(createLink({ name: 'cx1', kind: 'vxlan', options }));
  const vxlan = (await ipLink(netns, 'cx1')).linkinfo.info_data;
  assert.equal(
    [vxlan['id'], vxlan['local6'], vxlan['port'], vxlan['learning'], vxlan['proxy'], vxlan['ttl']],
    [4097, '2001:db8::1', 4789, false, true, 9],
  );
  const read = getLink(route, 'cx1').options;
  assert.equal({ ...read, ...options }, read);
  route.apply(createVeth({ name: 'p0', peer: { name: 'p1' } }));
  const parent = getLink(route, 'p0').index;
  route.apply(createLink({ name: 'mv0', kind: 'macvlan', parent, options: { mode: 'private' } }));
  assert.is((await ipLink(netns, 'mv0')).linkinfo.info_data['mode'], 'private');
  assert.is(getLink(route, 'mv0').parent, parent);
});

test('errors name the errno, the request and the reason', ({ route }) => {
  const [taken, , missing, small] = route.attempt([
    createLink({ name: 'lo', kind: 'bridge' }),
    createLink({ name: 'br0', kind: 'bridge' }),
    deleteLink('nothing'),
    changeLink('lo', { mac: '02:00:00:00:00:01', mtu: 4_000_000_000 }),
  ]);
  assert.is(taken?.message, 'EEXIST from RTM_NEWLINK bridge lo');
  assert.is(missing?.message, 'ENODEV from RTM_DELLINK nothing');
  assert.ok(small instanceof KernelError);
  assert.ok(findLink(route, 'br0'), 'what follows a failure in a batch is run');
  assert.is(findLink(route, 'nothing'), undefined);
  assert.is(
    codeOf(() => getLink(route, 'nothing')),
    'ENODEV',
  );
});

test('a kind that the kernel does not have is EOPNOTSUPP with its name', ({ route }) => {
  const error = route.attempt([
    {
      ...createLink({ name: 'x0', kind: 'dummy' }),
      write: createLink({ name: 'x0', kind: 'nokind' as 'dummy' }).write,
    },
  ])[0];
  assert.is(error?.message, 'EOPNOTSUPP from RTM_NEWLINK dummy x0: Unknown device type');
});

test('deletes one, then says ENODEV; deletes a group; deletes without stopping the event loop', async ({
  netns,
  route,
}) => {
  const names = Array.from({ length: 200 }, (_, index) => `g${index}`);
  route.apply(...names.map((name) => createVeth({ name, group: 77, peer: { name: `${name}p` } })));
  assert.is(listLinks(route, { kind: 'veth' }).length, 400);
  route.apply(deleteLink('g0'));
  assert.is(
    codeOf(() => route.apply(deleteLink('g0'))),
    'ENODEV',
  );
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await applyOnThread(netns, deleteLink('g1'), deleteLink('g2'), deleteLink('g3'));
  clearInterval(timer);
  assert.ok(turns > 3, `the event loop made ${turns} turns`);
  await assertRejects(applyOnThread(netns, deleteLink('g1')), 'ENODEV');
  route.apply(deleteLinkGroup(77));
  assert.equal(listLinks(route, { kind: 'veth' }), []);
});

async function assertRejects(promise: Promise<unknown>, code: string): Promise<void> {
  try {
    await promise;
  } catch (error) {
    assert.ok(isKernelError(error, code));
    return;
  }
  assert.unreachable('it did not fail');
}

test('a dump is complete while others change what it shows', async ({ netns, route }) => {
  route.apply(...Array.from({ length: 150 }, (_, index) => createLink({ name: `b${index}`, kind: 'bridge' })));
  const busy = runCommand('sh', ['-c', 'for i in $(seq 40); do ip link add x$i type bridge; ip link del x$i; done'], {
    timeoutMs: 30_000,
    netns,
  });
  let ended = false;
  const end = busy.finally(() => {
    ended = true;
  });
  let rounds = 0;
  while (!ended) {
    const names = new Set(listLinks(route).map((link: Link) => link.name));
    for (let index = 0; index < 150; index++) assert.ok(names.has(`b${index}`), `b${index} is missing`);
    rounds++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await end;
  assert.ok(rounds > 0);
});

test('the monitor tells of links and addresses as they come and go', async ({ netns, route }) => {
  const seen: string[] = [];
  using _monitor = monitorRoutes({
    netns,
    topics: ['link', 'address', 'route', 'neighbour'],
    onChange: (change) => {
      if (change.kind === 'link') seen.push(`${change.change} link ${change.link.name}`);
      if (change.kind === 'address') seen.push(`${change.change} address ${change.address.address}`);
      if (change.kind === 'route') seen.push(`${change.change} route ${change.route.destination}`);
    },
    onLost: () => seen.push('lost'),
  });
  route.apply(createLink({ name: 'br0', kind: 'bridge', up: true }));
  await runCommand('ip', ['addr', 'add', '192.0.2.1/24', 'dev', 'br0'], { timeoutMs: 5000, netns });
  await runCommand('ip', ['link', 'del', 'br0'], { timeoutMs: 5000, netns });
  const expected = [
    'new link br0',
    'new address 192.0.2.1',
    'new route 192.0.2.0/24',
    'deleted address 192.0.2.1',
    'deleted link br0',
  ];
  await eventually('all changes are told', () => expected.every((line) => seen.includes(line)));
  assert.not(seen.includes('lost'));
});

test.run();
