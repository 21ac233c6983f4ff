/**
 * cleat-macvlan by traffic, IPv4 and IPv6: announcements, options, and duplicate addresses.
 *
 *     neighbour 192.0.2.9, 2001:db8::9 ── segment ── eth0 192.0.2.2, 2001:db8::2 host: engine, cleat-networkd, containers
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { missing, requires } from '../support/requires.ts';
import { createSegment, type Segment } from '../support/segment.ts';

requires('root', 'macvlan', 'veth', 'engine-20.10');

interface Scene {
  readonly host: Host;
  readonly neighbour: Host;
  readonly segment: Segment;
  readonly engine: Engine;
}

let scene: Scene;

test.before(async () => {
  const host = await createHost({ name: 'lan' });
  const neighbour = await createHost({ name: 'neighbour' });
  const segment = await createSegment();
  await segment.attach(host, { addresses: ['192.0.2.2/24', '2001:db8::2/64'], mtu: 1400 });
  await segment.attach(neighbour, { addresses: ['192.0.2.9/24', '2001:db8::9/64'] });
  await startDaemon('networkd', host);
  const version = missing('engine-28') === undefined ? '28' : '20.10';
  const engine = await startEngine({ version, host });
  scene = { host, neighbour, segment, engine };
});

test.after(async () => {
  for (const part of [scene.host, scene.neighbour, scene.segment]) await part.close();
});

const pools = ['--subnet', '192.0.2.0/24', '--ipv6', '--subnet', '2001:db8::/64'];

async function createNetwork(name: string, ...options: string[]): Promise<void> {
  const flags = ['-o', 'parent=eth0', ...options.flatMap((option) => ['-o', option])];
  await scene.engine.docker('network', 'create', '-d', 'cleat-macvlan', ...pools, ...flags, name);
}

/** With 192.0.2.N and 2001:db8::N. */
async function run(name: string, network: string, last: number, ...flags: string[]): Promise<void> {
  const addresses = ['--ip', `192.0.2.${last}`, '--ip6', `2001:db8::${last}`];
  const where = ['--name', name, '--network', network, ...addresses, ...flags];
  await scene.engine.docker('run', '-d', ...where, 'busybox', 'sleep', '1000');
}

const refused = (...args: string[]) =>
  scene.engine.docker(...args).then(
    () => 'success',
    (error: Error) => error.message,
  );
const inside = (container: string, script: string) => scene.engine.docker('exec', container, 'sh', '-c', script);
const reaches = async (container: string, address: string) =>
  (await inside(container, `ping -c1 -W2 ${address} >/dev/null 2>&1 && echo yes || echo no`)) === 'yes';
const reached = async (last: number) =>
  (await scene.neighbour.sh(
    `ping -c1 -W2 192.0.2.${last} >/dev/null && ping -c1 -W2 2001:db8::${last} >/dev/null && echo yes || echo no`,
  )) === 'yes';

/** Containers gone, and the network. */
async function clear(network: string, ...containers: string[]): Promise<void> {
  if (containers.length > 0) await scene.engine.docker('rm', '-f', ...containers);
  await scene.engine.docker('network', 'rm', network);
  assert.is(await scene.host.sh("ip -o link | grep -E 'macvlan|ch-|cv' || true"), '', 'nothing is left');
}

test('bridge: announced on arrival, the parent’s MTU, a MAC that stays, the length of the broadcast queue', async () => {
  const { host, neighbour, segment, engine } = scene;
  await createNetwork('lan', 'cleat.broadcast-queue=2500');
  const capture = segment.host.start('tcpdump', ['-lnei', 'sw', 'arp or (icmp6 and ip6[40] == 136)']);
  await eventually('tcpdump listens', () => capture.output().includes('listening on'));
  await run('one', 'lan', 77);
  const mac = (await inside('one', 'cat /sys/class/net/eth0/address')).trim();
  await eventually('a gratuitous ARP and an unsolicited advertisement', () => {
    const seen = capture.output();
    return (
      new RegExp(`${mac}.*Request who-has 192\\.0\\.2\\.77 .*tell 192\\.0\\.2\\.77`).test(seen) &&
      new RegExp(`${mac} > 33:33:00:00:00:01.*tgt is 2001:db8::77`).test(seen)
    );
  });
  await capture.kill();
  assert.match(await inside('one', 'ip link show eth0'), /mtu 1400/);
  const pid = await engine.docker('inspect', '-f', '{{.State.Pid}}', 'one');
  assert.match(await host.sh(`nsenter -t ${pid} -n ip -d link show eth0`), /bcqueuelen 2500/);
  await run('two', 'lan', 78, '--mac-address', '02:00:5e:00:53:22');
  assert.is((await inside('two', 'cat /sys/class/net/eth0/address')).trim(), '02:00:5e:00:53:22');
  for (const address of ['192.0.2.78', '2001:db8::78', '192.0.2.9', '2001:db8::9'])
    await eventually(`one reaches ${address}`, () => reaches('one', address));
  await eventually('the neighbour reaches one', () => reached(77));
  assert.match(await neighbour.sh('ip neigh show 192.0.2.77'), new RegExp(mac));
  await engine.docker('rm', '-f', 'one');
  await run('one', 'lan', 77);
  assert.is((await inside('one', 'cat /sys/class/net/eth0/address')).trim(), mac, 'the MAC is that of the address');
  await clear('lan', 'one', 'two');
});

test('an address that somebody has is refused in both families', async () => {
  await createNetwork('lan');
  const taken = await refused('run', '--rm', '--network', 'lan', '--ip', '192.0.2.9', 'busybox', 'true');
  assert.match(taken, /192\.0\.2\.9 is in use on the LAN by .*NET_ADDRESS_DUPLICATE/);
  const taken6 = await refused('run', '--rm', '--network', 'lan', '--ip6', '2001:db8::9', 'busybox', 'true');
  assert.match(taken6, /2001:db8::9 is in use on the LAN by .*NET_ADDRESS_DUPLICATE/);
  await clear('lan');
});

test.run();
