/**
 * cleat-macvlan under real engines: containers as hosts of a LAN.
 *
 *     neighbour 192.0.2.9 ──┐
 *     router    192.0.2.1 ──┼── segment ── eth0 host 192.0.2.2: engine, cleat-networkd, containers
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, type EngineVersion, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { missing, requires } from '../support/requires.ts';
import { createSegment } from '../support/segment.ts';

requires('root', 'macvlan', 'veth', 'engine-20.10');
const versions = (['20.10', '28'] as const).filter((version) => missing(`engine-${version}`) === undefined);

interface Scene {
  readonly host: Host;
  readonly neighbour: Host;
  readonly daemon: Daemon;
  readonly engine: Engine;
  close(): Promise<void>;
}

async function startScene(version: EngineVersion): Promise<Scene> {
  const parts: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const part of parts.reverse()) await part.close();
  };
  try {
    const host = await createHost({ name: 'macvlan' });
    const neighbour = await createHost({ name: 'neighbour' });
    const segment = await createSegment();
    parts.push(host, neighbour, segment);
    await segment.attach(host, { addresses: ['192.0.2.2/24', '2001:db8::2/64'], gateway: '192.0.2.1' });
    await segment.attach(neighbour, { addresses: ['192.0.2.9/24', '2001:db8::9/64', '192.0.2.1/24'] });
    const daemon = await startDaemon('networkd', host);
    const engine = await startEngine({ version, host, liveRestore: true });
    parts.push(engine);
    return { host, neighbour, daemon, engine, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const lan = [
  '--subnet',
  '192.0.2.0/24',
  '--gateway',
  '192.0.2.1',
  '--ip-range',
  '192.0.2.128/26',
  '--ipv6',
  '--subnet',
  '2001:db8::/64',
];
const pings = (from: Host, address: string) => from.sh(`ping -c1 -W2 ${address} >/dev/null && echo yes || echo no`);
const within = (engine: Engine, container: string, address: string) =>
  engine.docker('exec', container, 'sh', '-c', `ping -c1 -W2 ${address} >/dev/null && echo yes || echo no`);

for (const version of versions) {
  test(`Docker ${version}: containers on the LAN, reached by neighbours and by the host`, async () => {
    const { host, neighbour, daemon, engine, close } = await startScene(version);
    const { docker } = engine;
    try {
      await docker(
        'network',
        'create',
        '-d',
        'cleat-macvlan',
        ...lan,
        '-o',
        'parent=eth0',
        '-o',
        'cleat.host-access=on',
        'lan',
      );
      await docker(
        'run',
        '-d',
        '--name',
        'one',
        '--network',
        'lan',
        '--network-alias',
        'both',
        'busybox',
        'sleep',
        '1000',
      );
      await docker(
        'run',
        '-d',
        '--name',
        'two',
        '--network',
        'lan',
        '--network-alias',
        'both',
        '--ip',
        '192.0.2.77',
        '--ip6',
        '2001:db8::77',
        'busybox',
        'sleep',
        '1000',
      );
      const inspected = JSON.parse(await docker('inspect', 'one'))[0].NetworkSettings.Networks.lan;
      assert.match(inspected.IPAddress, /^192\.0\.2\.1[2-9][0-9]$/);
      assert.is(await pings(neighbour, '192.0.2.77'), 'yes', 'a neighbour reaches it');
      await eventually('IPv6 from the neighbour', async () => (await pings(neighbour, '2001:db8::77')) === 'yes');
      assert.is(await within(engine, 'one', '192.0.2.77'), 'yes', 'containers reach each other');
      assert.is(await within(engine, 'one', '192.0.2.9'), 'yes', 'a container reaches the neighbour');
      assert.is(await pings(host, '192.0.2.77'), 'yes', 'the host reaches it by its own link');
      assert.is(await within(engine, 'two', '192.0.2.2'), 'yes', 'and the other way round');
      await eventually('the host by IPv6', async () => (await pings(host, '2001:db8::77')) === 'yes');
      const names = await docker('exec', 'one', 'nslookup', 'both');
      assert.match(names, /192\.0\.2\.77/);

      // Nothing that passes the host's firewall: -p has no meaning, and says so.
      const refused = await docker('run', '--rm', '--network', 'lan', '-p', '8080:80', 'busybox', 'true').catch(
        (error: Error) => error.message,
      );
      assert.match(refused, /NET_PORTS_UNSUPPORTED/);
      const duplicate = await docker('run', '--rm', '--network', 'lan', '--ip', '192.0.2.9', 'busybox', 'true').catch(
        (error: Error) => error.message,
      );
      assert.match(duplicate, /192\.0\.2\.9 is in use on the LAN by .*NET_ADDRESS_DUPLICATE/);

      // The daemon dies; nothing of the containers notices, and it knows them again.
      await daemon.kill();
      assert.is(await pings(neighbour, '192.0.2.77'), 'yes', 'traffic without the daemon');
      await daemon.start();
      await docker('rm', '-f', 'one');
      assert.match(
        await host.sh('ip route show proto 99'),
        /^192\.0\.2\.77 dev ch-[0-9a-f]{12} scope link src 192\.0\.2\.2 ?\n?$/,
        'one host route for one container',
      );
      await docker('rm', '-f', 'two');
      await docker('network', 'rm', 'lan');
      assert.is(await host.sh("ip -o link | grep -E 'macvlan|ch-|cv' || true"), '', 'nothing is left');
    } finally {
      await close();
    }
  });
}

test('modes, parents that are missing or taken, and options that are wrong', async () => {
  const { host, engine, close } = await startScene(versions.at(-1) ?? '20.10');
  const { docker } = engine;
  const createOn = (subnet: string, ...options: string[]) =>
    docker('network', 'create', '-d', 'cleat-macvlan', '--subnet', subnet, ...options).catch(
      (error: Error) => error.message,
    );
  const create = (...options: string[]) => createOn('198.51.100.0/24', ...options);
  try {
    assert.match(
      await create('-o', 'parent=eth9', 'a'),
      /parent interface "eth9" does not exist.*NET_PARENT_NOT_FOUND/,
    );
    assert.match(await create('a'), /needs a parent interface.*NET_PARENT_NOT_FOUND/);
    assert.match(await create('-o', 'parent=eth0', '-o', 'macvlan_mode=brige', 'a'), /PROTO_OPTION/);
    assert.match(
      await create('-o', 'parent=eth0', '-o', 'macvlan_mod=bridge', 'a'),
      /macvlan_mode.*PROTO_OPTION_UNKNOWN/s,
    );
    assert.match(await create('-o', 'parent=eth0', '-o', 'cleat.host-access=on', 'a'), /NET_HOST_ACCESS/);

    assert.match(await create('-o', 'parent=eth0', '-o', 'macvlan_mode=private', 'private'), /^[0-9a-f]{64}/);
    await docker(
      'run',
      '-d',
      '--name',
      'p1',
      '--network',
      'private',
      '--ip',
      '198.51.100.11',
      'busybox',
      'sleep',
      '1000',
    );
    await docker(
      'run',
      '-d',
      '--name',
      'p2',
      '--network',
      'private',
      '--ip',
      '198.51.100.12',
      'busybox',
      'sleep',
      '1000',
    );
    assert.is(await within(engine, 'p1', '198.51.100.12'), 'no', 'private containers do not reach each other');
    assert.match(
      await createOn('203.0.113.0/24', '-o', 'parent=eth0', '-o', 'macvlan_mode=passthru', 'pass'),
      /NET_PARENT_TAKEN/,
    );
    await docker('rm', '-f', 'p1', 'p2');
    await docker('network', 'rm', 'private');

    assert.match(await create('--internal', 'inside'), /^[0-9a-f]{64}/);
    await docker(
      'run',
      '-d',
      '--name',
      'i1',
      '--network',
      'inside',
      '--ip',
      '198.51.100.21',
      'busybox',
      'sleep',
      '1000',
    );
    await docker('run', '-d', '--name', 'i2', '--network', 'inside', 'busybox', 'sleep', '1000');
    assert.is(await within(engine, 'i2', '198.51.100.21'), 'yes', 'an internal network without a wire works inside');
    await docker('rm', '-f', 'i1', 'i2');
    await docker('network', 'rm', 'inside');
    assert.is(await host.sh("ip -o link | grep -E 'macvlan|cd-|cv' || true"), '', 'nothing is left');
  } finally {
    await close();
  }
});

test('mode source hears the senders that are named, and nobody else', async () => {
  const { neighbour, engine, close } = await startScene(versions.at(-1) ?? '20.10');
  const { docker } = engine;
  const create = (name: string, subnet: string, macs: string) =>
    docker(
      'network',
      'create',
      '-d',
      'cleat-macvlan',
      '--subnet',
      subnet,
      '-o',
      'parent=eth0',
      '-o',
      'macvlan_mode=source',
      '-o',
      `cleat.source-macs=${macs}`,
      name,
    );
  try {
    const mac = (await neighbour.sh('ip -json link show eth0 | jq -r .[0].address')).trim();
    await neighbour.sh('ip addr add 198.51.100.9/24 dev eth0; ip addr add 203.0.113.9/24 dev eth0');
    await create('friends', '198.51.100.0/24', mac);
    await docker(
      'run',
      '-d',
      '--name',
      'heard',
      '--network',
      'friends',
      '--ip',
      '198.51.100.11',
      'busybox',
      'sleep',
      '1000',
    );
    await eventually(
      'a ping of the one that is named',
      async () => (await pings(neighbour, '198.51.100.11')) === 'yes',
    );
    await create('strangers', '203.0.113.0/24', '02:00:5e:00:53:99');
    await docker(
      'run',
      '-d',
      '--name',
      'deaf',
      '--network',
      'strangers',
      '--ip',
      '203.0.113.11',
      'busybox',
      'sleep',
      '1000',
    );
    assert.is(await pings(neighbour, '203.0.113.11'), 'no');
    await docker('rm', '-f', 'heard', 'deaf');
  } finally {
    await close();
  }
});

test('kill -9 at random moments of connect, disconnect, run and rm: nothing is lost, nothing is left', async () => {
  const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 6);
  const { host, neighbour, daemon, engine, close } = await startScene(versions.at(-1) ?? '20.10');
  const { docker } = engine;
  try {
    await docker(
      'network',
      'create',
      '-d',
      'cleat-macvlan',
      ...lan,
      '-o',
      'parent=eth0',
      '-o',
      'cleat.host-access=on',
      'lan',
    );
    await docker('run', '-d', '--name', 'steady', '--network', 'lan', '--ip', '192.0.2.77', 'busybox', 'sleep', '1000');
    for (let round = 0; round < rounds; round += 1) {
      // Whether a verb is cut short or not: its failure is the engine's to report, never a hang.
      const verbs = (async () => {
        await docker('run', '-d', '--name', 'brief', '--network', 'lan', 'busybox', 'sleep', '1000').catch(() => '');
        await docker('network', 'disconnect', 'lan', 'brief').catch(() => '');
        await docker('network', 'connect', 'lan', 'brief').catch(() => '');
        await docker('rm', '-f', 'brief').catch(() => '');
      })();
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 1500));
      await daemon.kill();
      await daemon.start();
      await verbs;
      assert.is(await pings(neighbour, '192.0.2.77'), 'yes', `round ${round}: the steady container`);
    }
    await docker('rm', '-f', 'brief', 'steady').catch(() => '');
    await docker('network', 'rm', 'lan');
    await eventually(
      'nothing of ours is left',
      async () => (await host.sh("ip -o link | grep -E 'macvlan|ch-|cv' || true")) === '',
    );
  } finally {
    await close();
  }
});

test('a parent that vanishes and comes back gives the containers their links again', async () => {
  const { host, engine, close } = await startScene(versions.at(-1) ?? '20.10');
  const { docker } = engine;
  try {
    await host.sh(
      'ip link add wan0 type veth peer name wan1 && ip link set wan0 up && ip link set wan1 up && ip addr add 203.0.113.1/24 dev wan1',
    );
    await docker(
      'network',
      'create',
      '-d',
      'cleat-macvlan',
      '--subnet',
      '203.0.113.0/24',
      '-o',
      'parent=wan0',
      '-o',
      'cleat.duplicate-probe=off',
      'wan',
    );
    await docker('run', '-d', '--name', 'cc', '--network', 'wan', '--ip', '203.0.113.7', 'busybox', 'sleep', '1000');
    await eventually('the first ping', async () => (await pings(host, '203.0.113.7')) === 'yes');
    await host.sh('ip link del wan0');
    await host.sh(
      'ip link add wan0 type veth peer name wan1 && ip link set wan0 up && ip link set wan1 up && ip addr add 203.0.113.1/24 dev wan1',
    );
    await eventually('a ping over the new parent', async () => (await pings(host, '203.0.113.7')) === 'yes');
    await docker('rm', '-f', 'cc');
    await docker('network', 'rm', 'wan');
  } finally {
    await close();
  }
});

test.run();
