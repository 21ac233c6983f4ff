/** cleat-macvlan under Docker 28, Docker 20.10 and cleat-shim on one segment: what containers can do, and how they live. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../support/deadline.ts';
import type { Host } from '../support/host.ts';
import { killUnderLoad, removeEverything } from '../support/kill-rounds.ts';
import { requires } from '../support/requires.ts';
import {
  containerReaches,
  hostReaches,
  type Lan,
  type LanHost,
  leftovers,
  refused,
  removeAll,
  routes,
  startLan,
  startShimOn,
} from './lan-scene.ts';

requires('root', 'macvlan', 'veth', 'engine-20.10', 'engine-28', 'overlayfs', 'program:conmon');

const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 6);

let lan: Lan;
let newer: LanHost;
let older: LanHost;

test.before(async () => {
  lan = await startLan(['28', '20.10']);
  [newer, older] = lan.hosts as [LanHost, LanHost];
});

test.after(() => lan.close());

/** Each host gives out a part of its own of the LAN's subnets. */
function createLan({ host, docker }: Pick<LanHost, 'host' | 'docker'>): Promise<string> {
  const part =
    host === newer.host ? ['192.0.2.128/27', '2001:db8::80:0/112'] : ['192.0.2.160/27', '2001:db8::90:0/112'];
  return docker(
    ...['network', 'create', '-d', 'cleat-macvlan', '-o', 'parent=eth0', '-o', 'cleat.host-access=on'],
    ...['--subnet', '192.0.2.0/24', '--gateway', '192.0.2.1', '--ip-range', part[0] as string],
    ...['--ipv6', '--subnet', '2001:db8::/64', '--gateway', '2001:db8::1', '--ip-range', part[1] as string],
    'lan',
  );
}

test.after.each(async () => {
  for (const at of lan.hosts) await removeAll(at);
});

for (const who of ['Docker 28', 'Docker 20.10', 'cleat-shim'] as const) {
  test(`${who}: containers on the LAN, reached by neighbours and by their host, with and without the daemon`, async () => {
    const at = who === 'Docker 28' ? newer : older;
    const { host, daemon } = at;
    const docker = who === 'cleat-shim' ? await startShimOn(at) : at.docker;
    const log = who === 'cleat-shim' ? ['--log-driver', 'none'] : [];
    const run = (...args: string[]) => docker('run', '--network', 'lan', ...log, ...args);
    await createLan({ host, docker });
    await run('-d', '--name', 'one', '--network-alias', 'both', 'busybox', 'sleep', '1000');
    const fixed = ['--ip', '192.0.2.77', '--ip6', '2001:db8::77'];
    await run('-d', '--name', 'two', '--network-alias', 'both', ...fixed, 'busybox', 'sleep', '1000');
    const one = JSON.parse(await docker('inspect', 'one'))[0].NetworkSettings.Networks.lan;
    assert.match(one.IPAddress, /^192\.0\.2\.1[2-9][0-9]$/);
    assert.match(one.GlobalIPv6Address, /^2001:db8::[89]0:/);
    for (const address of ['192.0.2.77', '2001:db8::77']) {
      await eventually(`a neighbour reaches ${address}`, () => hostReaches(lan.neighbour, address));
      await eventually(`another container reaches ${address}`, () => containerReaches(docker, 'one', address));
      await eventually(`the host reaches ${address}`, () => hostReaches(host, address));
    }
    const own = host === newer.host ? '2' : '3';
    for (const address of ['192.0.2.9', '2001:db8::9', `192.0.2.${own}`, `2001:db8::${own}`])
      await eventually(`a container reaches ${address}`, () => containerReaches(docker, 'two', address));
    assert.match(await docker('exec', 'two', 'ip', 'route'), /default via 192\.0\.2\.1/);
    await eventually('all with a name', async () => {
      const found = await docker('exec', 'one', 'nslookup', 'both');
      return found.includes('192.0.2.77') && found.includes(one.IPAddress);
    });

    // Nothing passes the host's firewall: -p has no meaning, and says so. What somebody has is not given out.
    assert.match(await refused(run, '--rm', '-p', '8080:80', 'busybox', 'true'), /NET_PORTS_UNSUPPORTED/);
    assert.match(
      await refused(run, '--rm', '--ip', '192.0.2.9', 'busybox', 'true'),
      /192\.0\.2\.9 is in use on the LAN by .*NET_ADDRESS_DUPLICATE/,
    );
    assert.match(
      await refused(run, '--rm', '--ip', `192.0.2.${own}`, 'busybox', 'true'),
      /is this host's own, on eth0; .*--aux-address.*NET_ADDRESS_DUPLICATE/,
    );

    // The daemon dies; nothing of the containers notices, and it knows them again.
    await daemon.kill();
    assert.ok(await hostReaches(lan.neighbour, '192.0.2.77'), 'traffic without the daemon');
    await daemon.start();
    await docker('rm', '-f', 'one');
    const left = (await routes(host)).split('\n').map((line) => line.split(' ')[0]);
    assert.equal(left, ['192.0.2.77', '2001:db8::77'], 'host routes for the one that is left');
    await docker('restart', '-t', '0', 'two');
    await eventually('after a restart', () => hostReaches(lan.neighbour, '192.0.2.77'));
    await docker('rm', '-f', 'two');
    await docker('network', 'rm', 'lan');
    assert.is(await leftovers(host), '', 'nothing is left');
  });
}

test('containers of two hosts reach each other; each host its own and the other’s', async () => {
  for (const [index, at] of lan.hosts.entries()) {
    const { docker } = at;
    await createLan(at);
    const fixed = ['--ip', `192.0.2.7${index}`, '--ip6', `2001:db8::7${index}`];
    await docker('run', '-d', '--name', 'steady', '--network', 'lan', ...fixed, 'busybox', 'sleep', '1000');
  }
  for (const address of ['192.0.2.71', '2001:db8::71']) {
    await eventually(`from container to ${address}`, () => containerReaches(newer.docker, 'steady', address));
    await eventually(`from the other host to ${address}`, () => hostReaches(newer.host, address));
  }
  const taken = ['--ip', '192.0.2.71', 'busybox', 'true'];
  assert.match(await refused(newer.docker, 'run', '--rm', '--network', 'lan', ...taken), /NET_ADDRESS_DUPLICATE/);
});

test('a host that starts again: the network, the host’s own link, routes, addresses and MAC are as before', async () => {
  const { host, daemon, engine, docker } = newer;
  await createLan(newer);
  const fixed = ['--ip', '192.0.2.77', '--ip6', '2001:db8::77'];
  await docker(
    ...['run', '-d', '--name', 'steady', '--restart', 'always', '--network', 'lan', ...fixed],
    ...['busybox', 'sleep', '1000'],
  );
  const mac = await docker('exec', 'steady', 'cat', '/sys/class/net/eth0/address');
  const before = await routes(host);
  const pid = await docker('inspect', '-f', '{{.State.Pid}}', 'steady');
  await engine.kill();
  await daemon.kill();
  // What no machine keeps: processes, namespaces and links.
  await host.sh(`kill -9 ${pid}; umount -l /run/docker/netns/*
    for link in $(ip -o link | grep -oE 'ch-[0-9a-f]+'); do ip link del $link; done`);
  await daemon.start();
  await engine.start();
  await eventually('the container is back', async () =>
    (await docker('ps', '--format', '{{.Names}}')).split('\n').includes('steady'),
  );
  for (const address of ['192.0.2.77', '2001:db8::77']) {
    await eventually(`the neighbour reaches ${address}`, () => hostReaches(lan.neighbour, address));
    await eventually(`the host reaches ${address}`, () => hostReaches(host, address));
  }
  assert.is(await docker('exec', 'steady', 'cat', '/sys/class/net/eth0/address'), mac);
  await eventually(
    'the same routes',
    async () => (await routes(host)).replace(/ +/g, ' ') === before.replace(/ +/g, ' '),
  );
});

test(`${rounds} kills of the daemon under run, connect, disconnect and rm: no hang, no lost traffic, nothing left`, async () => {
  const { host, daemon, engine, docker } = newer;
  await createLan(newer);
  const second = ['--subnet', '203.0.113.0/24', '-o', 'parent=eth0'];
  await docker('network', 'create', '-d', 'cleat-macvlan', ...second, 'second');
  const echo = ['sh', '-c', 'exec nc -ll -p 9000 -e cat'];
  await docker('run', '-d', '--name', 'steady', '--network', 'lan', '--ip', '192.0.2.77', 'busybox', ...echo);
  const stream = startStream(lan.neighbour);
  await eventually('the stream', () => stream.output().includes('ok'));
  await killUnderLoad({
    daemon,
    engine,
    rounds,
    turnOf: (worker, turn) => {
      const name = `w${worker}-${turn}`;
      return [
        ['run', '-d', '--name', name, '--network', 'lan', 'busybox', 'sleep', '1000'],
        ['network', 'connect', 'second', name],
        ['network', 'disconnect', 'lan', name],
        ['network', 'connect', 'lan', name],
        ['rm', '-f', name],
      ];
    },
    whileDown: async (round) => assert.ok(await hostReaches(lan.neighbour, '192.0.2.77'), `round ${round}`),
  });
  assert.ok(stream.running(), `the stream ended: ${stream.output().slice(-200)}`);
  const lines = stream.output().length;
  await eventually('the stream goes on', () => stream.output().length > lines);
  await stream.kill();

  await removeEverything(engine, 'cleat-macvlan', ['lan', 'second']);
  await eventually('a clean host', async () => (await leftovers(host)) === '', {
    timeoutMs: 60_000,
    everyMs: 500,
  });
  assert.equal(JSON.parse(await daemon.cleat('status', 'networks', 'endpoints', '--json')), {
    networks: [],
    endpoints: [],
  });
});

/** One connection from the neighbour for the whole time, a line every 100 ms and its echo. */
function startStream(host: Host) {
  const script =
    'exec 3<>/dev/tcp/192.0.2.77/9000; while :; do echo ping >&3; read -t 5 -u 3 line || exit 1; echo ok; sleep 0.1; done';
  return host.start('bash', ['-c', script]);
}

test.run();
