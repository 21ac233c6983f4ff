/** Published ports by traffic: from outside, from the host by all its addresses, from containers, over IPv4 and IPv6. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../support/deadline.ts';
import { requires } from '../support/requires.ts';
import { ask, type Container, createLab, firewall, type Lab, needsFirewall, serve } from './bridge-lab.ts';

requires('root', 'bridge', 'veth', needsFirewall);

let lab: Lab;
let net: string;
let both: Container;

test.before(async () => {
  lab = await createLab();
  net = await lab.network({ pools: ['192.0.2.0/25', '2001:db8:1::/64'] });
  both = await lab.container(net, {
    address: '192.0.2.2/25',
    address6: '2001:db8:1::2/64',
    ports: [
      '8080:80',
      '5353:53/udp',
      '198.51.100.1|8081:80',
      '127.0.0.1|8082:80',
      '::1|8083:80',
      '9000-9009:9000-9009',
    ],
  });
  await serve(both, lab.host, 'both');
  await serve(both, lab.host, 'dns', 'UDP6-LISTEN:53');
  await serve(both, lab.host, 'range', 'TCP6-LISTEN:9005');
});
test.after(() => lab?.close());

test('from outside, with the source address kept', async () => {
  assert.is(await ask(lab.outside, '198.51.100.1', 8080), 'both [0000:0000:0000:0000:0000:ffff:c633:6409]');
  assert.is(await ask(lab.outside, '2001:db8:51::1', 8080), 'both [2001:0db8:0051:0000:0000:0000:0000:0009]');
  assert.match(await ask(lab.outside, '198.51.100.1', 5353, 'UDP'), /^dns .*c633:6409/);
  assert.match(await ask(lab.outside, '2001:db8:51::1', 5353, 'UDP'), /^dns .*:0009/);
});

test('from the host by every local address, 127.0.0.1 and [::1] among them', async () => {
  for (const address of [
    '198.51.100.1',
    '192.0.2.1',
    '127.0.0.1',
    '127.0.0.7',
    '2001:db8:51::1',
    '2001:db8:1::1',
    '::1',
  ]) {
    assert.match(await ask(lab.host, address, 8080), /^both /, address);
    assert.match(await ask(lab.host, address, 5353, 'UDP'), /^dns /, `${address} udp`);
  }
});

test('on one address only, that address only', async () => {
  assert.match(await ask(lab.host, '198.51.100.1', 8081), /^both /);
  assert.match(await ask(lab.outside, '198.51.100.1', 8081), /^both /);
  assert.is(await ask(lab.host, '127.0.0.1', 8081), '');
  assert.is(await ask(lab.outside, '2001:db8:51::1', 8081), '');
  assert.match(await ask(lab.host, '127.0.0.1', 8082), /^both /);
  assert.is(await ask(lab.outside, '198.51.100.1', 8082), '');
  assert.match(await ask(lab.host, '::1', 8083), /^both /);
  assert.is(await ask(lab.host, '127.0.0.1', 8083), '');
});

test('a range that keeps its numbers is one element, and reached', async () => {
  assert.match(await ask(lab.outside, '198.51.100.1', 9005), /^range /);
  assert.match(await ask(lab.host, '::1', 9005), /^range /);
  assert.ok(
    says(await lab.rules(), 'tcp . 9000-9009 : 192.0.2.2', '--dport 9000:9009 -j DNAT --to-destination 192.0.2.2'),
  );
});

test('from a container of the same network, of another one, and from itself', async () => {
  const neighbour = await lab.container(net, { address: '192.0.2.3/25', address6: '2001:db8:1::3/64' });
  const far = await lab.container(await lab.network({ pools: ['192.0.2.128/25', '2001:db8:2::/64'] }), {
    address: '192.0.2.130/25',
    address6: '2001:db8:2::130/64',
  });
  for (const [who, from] of Object.entries({ neighbour, far, itself: both })) {
    for (const address of ['198.51.100.1', '2001:db8:51::1']) {
      assert.match(await ask(from, address, 8080), /^both /, `${who} to ${address}`);
    }
  }
  assert.is(await ask(far, '192.0.2.2', 80), '', 'the container itself is not reached from another network');
  assert.is(await ask(far, '2001:db8:1::2', 80), '');
});

test('IPv6 of the host to a container with IPv4 only', async () => {
  const four = await lab.network({ pools: ['203.0.113.0/25'] });
  const container = await lab.container(four, { address: '203.0.113.2/25', ports: ['8090:80', '8091:53/udp'] });
  await serve(container, lab.host, 'four');
  await serve(container, lab.host, 'fourdns', 'UDP6-LISTEN:53');
  assert.match(await ask(lab.outside, '2001:db8:51::1', 8090), /^four /);
  assert.match(await ask(lab.host, '::1', 8090), /^four /);
  assert.match(await ask(lab.host, '127.0.0.1', 8090), /^four /);
  assert.match(await ask(lab.outside, '2001:db8:51::1', 8091, 'UDP'), /^fourdns /);
  assert.match(await ask(lab.host, '::1', 8091, 'UDP'), /^fourdns /);
});

test('a neighbour cannot reach what is published on 127.0.0.1, nor a container the loopback of the host', async () => {
  await lab.host.sh('sysctl -qw net.ipv4.conf.eth0.route_localnet=1 2>/dev/null || true');
  await lab.outside.sh(
    'sysctl -qw net.ipv4.conf.eth0.route_localnet=1; ip route add 127.0.0.0/8 via 198.51.100.1 dev eth0 table 7; ip rule add to 127.0.0.0/8 pref 1 table 7; ip rule add pref 2 lookup local; ip rule del pref 0',
  );
  assert.is(await ask(lab.outside, '127.0.0.1', 8082), '');
  await lab.outside.sh('ip rule add pref 0 lookup local; ip rule del pref 1; ip rule del pref 2');
  lab.host.start('socat', ['TCP4-LISTEN:7777,bind=127.0.0.1,reuseaddr,fork', 'SYSTEM:echo secret']);
  await lab.host.sh('for i in $(seq 100); do ss -Hltn | grep -q ":7777 " && exit 0; sleep 0.05; done');
  await both.sh(
    'ip rule add to 127.0.0.0/8 pref 1 table 7; ip route add 127.0.0.0/8 via 192.0.2.1 table 7; ip rule add pref 2 lookup local; ip rule del pref 0; sysctl -qw net.ipv4.conf.all.route_localnet=1',
  );
  assert.is(await ask(both, '127.0.0.1', 7777), '');
  await both.sh('ip rule add pref 0 lookup local; ip rule del pref 1; ip rule del pref 2');
  await lab.host.sh('sysctl -qw net.ipv4.conf.eth0.route_localnet=0');
});

test('a taken port names who holds it: a container, a process', async () => {
  await assertRefused(
    ['8080:80'],
    /host port 8080\/tcp is already published on every address by the endpoint [0-9a-f]{12}.*NET_PORT_TAKEN/,
  );
  await assertRefused(['9004:80'], /host port 9004\/tcp is already published/);
  lab.host.start('socat', ['TCP4-LISTEN:7070,reuseaddr,fork', 'SYSTEM:echo']);
  await lab.host.sh('for i in $(seq 100); do ss -Hltn | grep -q ":7070 " && exit 0; sleep 0.05; done');
  await assertRefused(
    ['7070:80'],
    /host port 7070\/tcp is used by socat \(pid \d+\), which listens on 0\.0\.0\.0:7070.*NET_PORT_TAKEN/,
  );
  await assertRefused(['203.0.113.99|7071:80'], /203\.0\.113\.99 is no address of this host.*NET_PORT_ADDRESS/);
});

test('a published port cannot be taken by a process of the host', async () => {
  const words = await lab.host.sh('socat -u TCP4-LISTEN:8080,reuseaddr - 2>&1 || true');
  assert.match(words, /Address already in use/);
});

test('random ports come from the range of the host and differ', async () => {
  const one = await lab.container(net, {
    address: '192.0.2.10/25',
    ports: ['0:80', '0:81', '0:80/udp', '30000-30005:82'],
  });
  const { ports } = await lab.client.network
    .endpointOperInfo({ networkId: net, endpointId: one.endpointId })
    .then((info) => info as { ports: { hostPort: number; protocol: string; containerPort: number; family: number }[] });
  const chosen = ports
    .filter(({ family, protocol, containerPort }) => family === 4 && protocol === 'tcp' && containerPort !== 82)
    .map(({ hostPort }) => hostPort);
  assert.is(new Set(chosen).size, 2);
  assert.ok(chosen.every((port) => port >= 32768 && port <= 60999));
  assert.is(ports.find(({ containerPort }) => containerPort === 82)?.hostPort, 30000);
  await one.remove();
});

test('a UDP client that spoke too early, or to the container before, reaches the new one', async () => {
  const first = await lab.container(net, { address: '192.0.2.20/25', ports: ['6000:53/udp'] });
  await serve(first, lab.host, 'first', 'UDP6-LISTEN:53');
  const say = 'echo hi | timeout 3 socat -t 1 -T 1 - UDP4:198.51.100.1:6000,sourceport=5555 2>/dev/null || true';
  assert.match(await lab.outside.sh(say), /^first /);
  await first.remove();
  assert.is(await lab.outside.sh(say), '');
  const second = await lab.container(net, { address: '192.0.2.21/25', ports: ['6000:53/udp'] });
  await serve(second, lab.host, 'second', 'UDP6-LISTEN:53');
  assert.match(await lab.outside.sh(say), /^second /);
  await second.remove();
});

test('a port is free again after its endpoint', async () => {
  const one = await lab.container(net, { address: '192.0.2.30/25', ports: ['8888:80'] });
  await serve(one, lab.host, 'one');
  assert.match(await ask(lab.host, '198.51.100.1', 8888), /^one /);
  await one.remove();
  assert.is(await ask(lab.host, '198.51.100.1', 8888), '');
  const two = await lab.container(net, { address: '192.0.2.31/25', ports: ['8888:80'] });
  await two.remove();
  assert.not.match(await lab.rules(), /8888/);
});

test('SCTP is published in the kernel, and not through the proxy', async () => {
  const one = await lab.container(net, {
    address: '192.0.2.40/25',
    address6: '2001:db8:1::40/64',
    ports: ['9:9/sctp'],
  });
  const rules = await lab.rules();
  assert.ok(
    says(rules, 'sctp . 9 : 192.0.2.40 . 9', '-p sctp -m sctp --dport 9 -j DNAT --to-destination 192.0.2.40:9'),
  );
  assert.ok(says(rules, 'sctp . 9 : 2001:db8:1::40 . 9', '--dport 9 -j DNAT --to-destination [2001:db8:1::40]:9'));
  assert.is(rules.split(firewall === 'nftables' ? 'sctp . 9' : '-m sctp').length - 1, 2);
  await one.remove();
});

test('10 000 ports: one element in each map, no sockets, and a process that takes one later is told', async () => {
  const sockets = async () => Number(await lab.host.sh('ss -Htuan | wc -l'));
  const before = await sockets();
  const many = await lab.container(net, { address: '192.0.2.50/25', ports: ['20000-29999:20000-29999'] });
  // The way of [::1] is a socket of the daemon, somewhere in the range that ports are taken from: it is no conflict.
  const wide = await lab.container(net, { address: '192.0.2.51/25', ports: ['32768-60999:32768-60999/udp'] });
  assert.ok((await sockets()) <= before);
  assert.ok(
    says(
      await lab.rules(),
      'tcp . 20000-29999 : 192.0.2.50',
      '--dport 20000:29999 -j DNAT --to-destination 192.0.2.50',
    ),
  );
  await serve(many, lab.host, 'many', 'TCP6-LISTEN:25000');
  assert.match(await ask(lab.outside, '198.51.100.1', 25000), /^many /);
  lab.host.start('socat', ['TCP4-LISTEN:26000,reuseaddr,fork', 'SYSTEM:echo']);
  const line = await eventually('the conflict in the log', () =>
    lab.daemon
      .log()
      .split('\n')
      .find((text) => text.includes('a process listens on a published port')),
  );
  assert.match(line, /"port":26000,"process":"socat \(pid \d+\)"/);
  assert.not.match(lab.daemon.log(), /"process":"MainThread/);
  await wide.remove();
  await many.remove();
});

/** As either packet filter says it. */
function says(rules: string, ...texts: readonly string[]): boolean {
  return texts.some((text) => rules.includes(text));
}

async function assertRefused(ports: string[], words: RegExp): Promise<void> {
  const before = `${await lab.rules()}${await lab.host.sh('ip -br link')}`;
  try {
    const container = await lab.container(net, { address: '192.0.2.99/25', ports });
    await container.remove();
  } catch (error) {
    assert.match((error as Error).message, words);
    assert.is(`${await lab.rules()}${await lab.host.sh('ip -br link')}`, before);
    return;
  }
  assert.unreachable(`${ports} was not refused`);
}

test.run();
