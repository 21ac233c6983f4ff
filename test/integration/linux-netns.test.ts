/** Namespaces, and what lives in them: commands, sysctls, sockets, packets, tracked connections. */
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  addAddress,
  changeLink,
  connectTcp,
  createAnonymousNetns,
  createNetns,
  createVeth,
  deleteNetns,
  ETH_P_IP,
  ensureSysctl,
  findSysctl,
  forgetConnections,
  getLink,
  inNetns,
  KernelError,
  listenTcp,
  listNetns,
  type Netns,
  openNetns,
  openUdpSocket,
  ownNetnsId,
  PacketSocket,
  RouteSocket,
  readSysctl,
  runCommand,
  writeSysctl,
} from '../../plugins/linux/index.ts';
import { deadline, eventually } from '../support/deadline.ts';
import { requires } from '../support/requires.ts';

requires('root', 'veth', 'nftables', 'program:conntrack');

const test = suite<{ netns: Netns }>('namespaces');

test.before.each((context) => {
  context.netns = createAnonymousNetns();
  using route = new RouteSocket(context.netns);
  route.apply(changeLink('lo', { up: true }));
});

test.after.each(({ netns }) => netns.close());

/** The namespaces of all threads of this process. */
function threadNamespaces(): Set<string> {
  return new Set(readdirSync('/proc/self/task').map((task) => readlinkSync(`/proc/self/task/${task}/ns/net`)));
}

test('a named namespace is seen by ip(8), opened by name, and deleted, twice', async () => {
  const name = `cleat-test-${process.pid}`;
  const path = `/run/netns/${name}`;
  using created = createNetns(path);
  try {
    assert.ok(listNetns().includes(name));
    const { stdout } = await runCommand('ip', ['netns', 'list'], { timeoutMs: 5000 });
    assert.ok(stdout.includes(name));
    using opened = openNetns(path);
    assert.is(opened.id, created.id);
    assert.is.not(created.id, ownNetnsId());
    assert.throws(() => createNetns(path), /EEXIST/);
    assert.is(openNetns(path).id, created.id, 'a failed creation leaves the namespace alone');
  } finally {
    deleteNetns(path);
    deleteNetns(path);
  }
  assert.not(existsSync(path));
  assert.throws(() => openNetns(path), /ENOENT/);
});

test('a half-made name (a plain file) is refused as a namespace and can be deleted', async () => {
  const path = `/run/netns/cleat-half-${process.pid}`;
  writeFileSync(path, '');
  assert.throws(
    () => openNetns(path),
    (error: unknown) => error instanceof KernelError && error.code === 'EINVAL',
  );
  deleteNetns(path);
  assert.not(existsSync(path));
  await runCommand('mkfifo', [path], { timeoutMs: 5000 });
  assert.throws(() => openNetns(path), /EINVAL from setns/);
  rmSync(path);
});

test('a visit comes back, also after an exception and from within another; all threads stay at home', async ({
  netns,
}) => {
  using inner = createAnonymousNetns();
  const here = (): string => readlinkSync('/proc/thread-self/ns/net');
  const home = here();
  const ids = inNetns(netns, () => [here(), inNetns(inner, here), here()]);
  assert.is(ids[0], ids[2]);
  assert.is(new Set([home, ...ids]).size, 3);
  assert.throws(() =>
    inNetns(netns, () => {
      throw new Error('thrown inside');
    }),
  );
  assert.is(here(), home);
  assert.throws(() => inNetns(netns, async () => 1), /must be synchronous/);
  await Promise.all(Array.from({ length: 8 }, () => stat('/')));
  assert.equal([...threadNamespaces()], [home]);
});

test('a command runs in the namespace, and the next one at home', async ({ netns }) => {
  const link = async (where?: Netns): Promise<string> =>
    (
      await runCommand('readlink', ['/proc/self/ns/net'], { timeoutMs: 5000, ...(where && { netns: where }) })
    ).stdout.trim();
  const [inside, outside] = await Promise.all([link(netns), link()]);
  assert.is(
    inside,
    inNetns(netns, () => readlinkSync('/proc/thread-self/ns/net')),
  );
  assert.is(outside, readlinkSync('/proc/thread-self/ns/net'));
});

test('sysctls are those of the namespace', ({ netns }) => {
  const outside = readSysctl('net/ipv4/conf/all/forwarding');
  const before = readSysctl('net/ipv4/conf/all/forwarding', netns);
  const other = before === '1' ? '0' : '1';
  assert.is(ensureSysctl('net/ipv4/conf/all/forwarding', other, netns), before);
  assert.is(ensureSysctl('net/ipv4/conf/all/forwarding', other, netns), undefined);
  assert.is(readSysctl('net/ipv4/conf/all/forwarding', netns), other);
  assert.is(readSysctl('net/ipv4/conf/all/forwarding'), outside);
  assert.is(findSysctl('net/ipv4/conf/nolink/forwarding', netns), undefined);
  assert.throws(
    () => writeSysctl('net/ipv4/conf/all/forwarding', 'maybe', netns),
    /^KernelError|EINVAL from write sysctl/,
  );
  assert.throws(() => readSysctl('../sys/kernel/hostname'), /is no setting/);
});

test('UDP and TCP of both families are served from outside', async ({ netns }) => {
  for (const address of ['127.0.0.1', '::1']) {
    const server = await openUdpSocket({ netns, address, port: 5300 });
    server.on('message', (message, from) => server.send(`re: ${message}`, from.port, from.address));
    const client = await openUdpSocket({ netns, address, port: 0 });
    client.send('hello', 5300, address);
    const [answer] = await deadline('answer', 5000, once(client, 'message'));
    assert.is(String(answer), 're: hello');
    await assertRejects(openUdpSocket({ netns, address, port: 5300 }), /EADDRINUSE from bind udp/);
    server.close();
    client.close();

    const listener = createServer((socket) => socket.end('hello'));
    await listenTcp(listener, { netns, address, port: 5300 });
    const socket = connectTcp({ netns, address, port: 5300 });
    const [data] = await deadline('data', 5000, once(socket, 'data'));
    assert.is(String(data), 'hello');
    socket.destroy();
    listener.close();
    await once(listener, 'close');
    const refused = connectTcp({ netns, address, port: 5300 });
    await assertRejects(once(refused, 'connect'), /ECONNREFUSED/);
  }
});

async function assertRejects(promise: Promise<unknown>, pattern: RegExp): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.match(String(error), pattern);
}

test('packets of a link without any address', async ({ netns }) => {
  using route = new RouteSocket(netns);
  route.apply(
    createVeth({ name: 'a0', peer: { name: 'b0' } }),
    changeLink('a0', { up: true }),
    changeLink('b0', { up: true }),
  );
  const a = getLink(route, 'a0');
  const b = getLink(route, 'b0');
  const received: string[] = [];
  using _listener = new PacketSocket({
    netns,
    link: b.index,
    protocol: ETH_P_IP,
    onPacket: (packet) => received.push(packet.toString('hex')),
  });
  using sender = new PacketSocket({ netns, link: a.index, protocol: ETH_P_IP, onPacket: () => {} });
  const packet = Buffer.from('4500001c00000000401100000a0000010a000002', 'hex');
  sender.send('ff:ff:ff:ff:ff:ff', packet);
  sender.send(b.mac, packet);
  await eventually('both packets', () => received.filter((one) => one === packet.toString('hex')).length === 2);
});

test('forgets the connections of a port or a container, and no others', async ({ netns }) => {
  using route = new RouteSocket(netns);
  const lo = getLink(route, 'lo').index;
  route.apply(
    addAddress({ link: lo, address: '192.0.2.1/32' }),
    addAddress({ link: lo, address: '2001:db8::1/128', noDad: true }),
  );
  const ruleset = 'table inet t { chain c { type filter hook input priority 0; ct state new accept; }; }';
  await runCommand('nft', [ruleset], { timeoutMs: 5000, netns });
  const flows: [address: string, port: number][] = [
    ['192.0.2.1', 53],
    ['192.0.2.1', 54],
    ['127.0.0.1', 53],
    ['2001:db8::1', 53],
  ];
  for (const [address, port] of flows) {
    const client = await openUdpSocket({ netns, address: address.includes(':') ? '::' : '0.0.0.0', port: 0 });
    await new Promise((resolve) => client.send('x', port, address, resolve));
    client.close();
  }
  const list = async (): Promise<string[]> => {
    const families = await Promise.all(
      ['ipv4', 'ipv6'].map((family) => runCommand('conntrack', ['-L', '-f', family], { timeoutMs: 5000, netns })),
    );
    return families
      .flatMap(({ stdout }) =>
        [...stdout.matchAll(/^udp .*? dst=(\S+) sport=\d+ dport=(\d+)/gm)].map(
          ([, address, port]) => `${address} ${port}`,
        ),
      )
      .sort();
  };
  // A packet of a busy machine may arrive after its sender was told.
  await eventually('all connections are known', async () => (await list()).length === flows.length);
  const udp = { family: 4, protocol: 17 } as const;
  assert.is(forgetConnections([{ ...udp, destination: '192.0.2.1', destinationPort: 53 }], netns), 1);
  assert.is(forgetConnections([{ ...udp, destination: '192.0.2.1', destinationPort: 53 }], netns), 0);
  assert.equal(await list(), ['127.0.0.1 53', '192.0.2.1 54', '2001:db8::1 53']);
  const count = forgetConnections(
    [
      { ...udp, replySource: '127.0.0.1', replySourcePort: 53 },
      { family: 6, protocol: 17, destinationPort: 53 },
    ],
    netns,
  );
  assert.is(count, 2);
  assert.equal(await list(), ['192.0.2.1 54']);
  assert.is(forgetConnections([{ ...udp, destinationPort: 55, destinationPortEnd: 60 }], netns), 0);
  const many = Array.from({ length: 20 }, (_, index) => ({ ...udp, destinationPort: 100 + index }));
  assert.is(forgetConnections(many, netns), 0);
  assert.is(forgetConnections([...many, { ...udp, destinationPort: 50, destinationPortEnd: 54 }], netns), 1);
  assert.equal(await list(), []);
});

test('nothing stays open', ({ netns }) => {
  const open = (): number => readdirSync('/proc/self/fd').length;
  closeSync(openSync('/dev/null', 'r'));
  const before = open();
  for (let round = 0; round < 50; round++) {
    using route = new RouteSocket(netns);
    getLink(route, 'lo');
    using copy = netns.duplicate();
    assert.is(copy.id, netns.id);
    assert.throws(() => openNetns('/dev/null'));
  }
  assert.is(open(), before);
});

test.run();
