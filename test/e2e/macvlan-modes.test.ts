/** cleat-macvlan by traffic, IPv4 and IPv6: modes, options, duplicate addresses, announcements, and what happens to the parent. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../support/deadline.ts';
import { missing, requires } from '../support/requires.ts';
import {
  containerReaches,
  hostReaches,
  type Lan,
  type LanHost,
  refused as refusedBy,
  removeAll,
  routes,
  startLan,
} from './lan-scene.ts';

requires('root', 'macvlan', 'veth', 'engine-20.10');

let lan: Lan;
let at: LanHost;

test.before(async () => {
  lan = await startLan([missing('engine-28') === undefined ? '28' : '20.10'], { mtu: 1400 });
  at = lan.hosts[0] as LanHost;
});

test.after(() => lan.close());

/** Addresses that nobody names are apart from those of the hosts. */
const pools = [
  ...['--subnet', '192.0.2.0/24', '--ip-range', '192.0.2.128/26'],
  ...['--ipv6', '--subnet', '2001:db8::/64', '--ip-range', '2001:db8::80:0/112'],
];
const docker = (...args: string[]) => at.docker(...args);
const refused = (...args: string[]) => refusedBy(docker, ...args);
const create = (...args: string[]) => ['network', 'create', '-d', 'cleat-macvlan', ...args];
const options = (...pairs: string[]) => pairs.flatMap((pair) => ['-o', pair]);

function createNetwork(name: string, ...pairs: string[]): Promise<string> {
  return docker(...create(...pools, ...options('parent=eth0', ...pairs), name));
}

/** With 192.0.2.N and 2001:db8::N. */
async function run(name: string, network: string, last: number, ...flags: string[]): Promise<void> {
  const addresses = ['--ip', `192.0.2.${last}`, '--ip6', `2001:db8::${last}`];
  await docker(
    ...['run', '-d', '--name', name, '--network', network, ...addresses, ...flags],
    ...['busybox', 'sleep', '1000'],
  );
}

const inside = (container: string, script: string) => docker('exec', container, 'sh', '-c', script);
const reaches = (container: string, address: string) => containerReaches(docker, container, address);
const reached = async (last: number) =>
  (await hostReaches(lan.neighbour, `192.0.2.${last}`)) && (await hostReaches(lan.neighbour, `2001:db8::${last}`));
const neighbourMac = () => lan.neighbour.sh('ip -json link show eth0 | jq -r .[0].address');

test.after.each(() => removeAll(at));

test('bridge: announced on arrival, the parent’s MTU, a MAC that stays, the length of the broadcast queue', async () => {
  await createNetwork('lan', 'cleat.broadcast-queue=2500');
  const capture = lan.segment.host.start('tcpdump', ['-lnei', 'sw', 'arp or (icmp6 and ip6[40] == 136)']);
  await eventually('tcpdump listens', () => capture.output().includes('listening on'));
  await run('one', 'lan', 77);
  const mac = await inside('one', 'cat /sys/class/net/eth0/address');
  await eventually('a gratuitous ARP and an unsolicited advertisement', () => {
    const seen = capture.output();
    return (
      new RegExp(`${mac}.*Request who-has 192\\.0\\.2\\.77 .*tell 192\\.0\\.2\\.77`).test(seen) &&
      new RegExp(`${mac} > 33:33:00:00:00:01.*tgt is 2001:db8::77`).test(seen)
    );
  });
  await capture.kill();
  assert.match(await inside('one', 'ip link show eth0'), /mtu 1400/);
  const pid = await docker('inspect', '-f', '{{.State.Pid}}', 'one');
  assert.match(await at.host.sh(`nsenter -t ${pid} -n ip -d link show eth0`), /bcqueuelen 2500/);
  await run('two', 'lan', 78, '--mac-address', '02:00:5e:00:53:22');
  assert.is(await inside('two', 'cat /sys/class/net/eth0/address'), '02:00:5e:00:53:22');
  for (const address of ['192.0.2.78', '2001:db8::78', '192.0.2.9', '2001:db8::9'])
    await eventually(`one reaches ${address}`, () => reaches('one', address));
  await eventually('the neighbour reaches one', () => reached(77));
  assert.match(await lan.neighbour.sh('ip neigh show 192.0.2.77'), new RegExp(mac));
  await docker('rm', '-f', 'one');
  await run('one', 'lan', 77);
  assert.is(await inside('one', 'cat /sys/class/net/eth0/address'), mac, 'the MAC is that of the address');
});

test('an address that somebody has is refused in both families; who takes one later is told of', async () => {
  const { daemon } = at;
  await createNetwork('lan');
  const taken6 = await refused('run', '--rm', '--network', 'lan', '--ip6', '2001:db8::9', 'busybox', 'true');
  assert.match(taken6, /2001:db8::9 is in use on the LAN by .*NET_ADDRESS_DUPLICATE/);

  await run('one', 'lan', 77);
  await eventually('the neighbour reaches one', () => reached(77));
  const mac = await neighbourMac();
  await lan.neighbour.sh(
    'ip addr add 192.0.2.77/24 dev eth0; ip neigh flush dev eth0; ping -c1 -W1 -I 192.0.2.77 192.0.2.2 || true',
  );
  await eventually('the stranger is named', async () => {
    const { conflicts } = JSON.parse(await daemon.cleat('status', '--json', 'conflicts')) as {
      conflicts: { address: string; takenBy: string }[];
    };
    return conflicts.some(({ address, takenBy }) => address === '192.0.2.77' && takenBy === mac);
  });
  await lan.neighbour.sh('ip addr del 192.0.2.77/24 dev eth0');
  await eventually('the container is still there', () => reached(77));
  await docker('rm', '-f', 'one');
  assert.equal(JSON.parse(await daemon.cleat('status', '--json', 'conflicts')), { conflicts: [] });
});

test('vepa: containers reach each other by way of a switch that sends back, and not without', async () => {
  await createNetwork('lan', 'macvlan_mode=vepa');
  await run('one', 'lan', 77);
  await run('two', 'lan', 78);
  await eventually('the neighbour reaches one', () => reached(77));
  assert.not(await reaches('one', '192.0.2.78'));
  await lan.segment.host.sh(`bridge link set dev ${at.port} hairpin on`);
  for (const address of ['192.0.2.78', '2001:db8::78'])
    await eventually(`one reaches ${address} by the switch`, () => reaches('one', address));
  await lan.segment.host.sh(`bridge link set dev ${at.port} hairpin off`);
});

test('private: containers reach neighbours and not each other', async () => {
  await createNetwork('lan', 'macvlan_mode=private');
  await run('one', 'lan', 77);
  await run('two', 'lan', 78);
  await eventually('the neighbour reaches both', async () => (await reached(77)) && (await reached(78)));
  for (const address of ['192.0.2.78', '2001:db8::78']) assert.not(await reaches('one', address), address);
});

test('source: hears the senders that are named, and nobody else', async () => {
  const { neighbour } = lan;
  await neighbour.sh('ip addr add 198.51.100.9/24 dev eth0; ip addr add 203.0.113.9/24 dev eth0');
  const source = (macs: string) => options('parent=eth0', 'macvlan_mode=source', `cleat.source-macs=${macs}`);
  await docker(...create('--subnet', '198.51.100.0/24', ...source(await neighbourMac()), 'friends'));
  await docker(...create('--subnet', '203.0.113.0/24', ...source('02:00:5e:00:53:99'), 'strangers'));
  const start = (name: string, network: string, ip: string) =>
    docker('run', '-d', '--name', name, '--network', network, '--ip', ip, 'busybox', 'sleep', '1000');
  await start('heard', 'friends', '198.51.100.11');
  await start('deaf', 'strangers', '203.0.113.11');
  await eventually('a ping of the one that is named', () => hostReaches(neighbour, '198.51.100.11'));
  assert.not(await hostReaches(neighbour, '203.0.113.11'));
  await neighbour.sh('ip addr del 198.51.100.9/24 dev eth0; ip addr del 203.0.113.9/24 dev eth0');
});

test('passthru: one container has the parent, a second is refused', async () => {
  await createNetwork('lan', 'macvlan_mode=passthru');
  await run('one', 'lan', 77);
  await eventually('the neighbour reaches one', () => reached(77));
  assert.match(await refused('run', '--rm', '--network', 'lan', 'busybox', 'true'), /NET_PARENT_TAKEN/);
  await docker('restart', '-t', '0', 'one');
  await eventually('and again after a restart', () => reached(77));
});

test('without a parent: a network without a wire, internal or not said so', async () => {
  for (const flag of ['--internal', '--opt=parent=', '']) {
    await docker(...create(...pools, ...(flag === '' ? [] : [flag]), 'inside'));
    await Promise.all([run('one', 'inside', 77), run('two', 'inside', 78)]);
    for (const address of ['192.0.2.78', '2001:db8::78'])
      await eventually(`one reaches ${address}`, () => reaches('one', address));
    assert.not.match(await inside('one', 'ip route'), /default/);
    await docker('rm', '-f', 'one', 'two');
    await docker('network', 'rm', 'inside');
  }
});

test('what cannot be is refused when the network is made, and says why', async () => {
  const subnet = ['--subnet', '198.51.100.0/24'];
  const on = (parent: string, ...pairs: string[]) =>
    refused(...create(...subnet, ...options(`parent=${parent}`, ...pairs), 'other'));
  assert.match(await on('eth9'), /parent interface "eth9" does not exist.*NET_PARENT_NOT_FOUND/);
  assert.match(await on('lo'), /loopback interface cannot be a parent.*PROTO_OPTION/);
  assert.match(await on('eth0', 'macvlan_mode=brige'), /bridge, private, vepa.*PROTO_OPTION/s);
  assert.match(await on('eth0', 'macvlan_mod=bridge'), /macvlan_mode.*PROTO_OPTION_UNKNOWN/s);
  assert.match(await on('eth0', 'macvlan_mode=source'), /cleat\.source-macs.*PROTO_OPTION/s);
  assert.match(await on('eth0', 'cleat.host-access=on'), /no address in the subnet.*NET_HOST_ACCESS/);
  assert.match(
    await on('eth0', 'com.docker.network.driver.mtu=9000'),
    /mtu=9000 is more than the 1400 of parent eth0.*PROTO_OPTION/s,
  );
  await at.host.sh('ip link add br0 type bridge; ip link add p0 type veth peer name p1; ip link set p0 master br0');
  assert.match(await on('p0'), /parent p0 is a port of br0; use -o parent=br0.*NET_PARENT_TAKEN/s);
  await at.host.sh('ip link del p0; ip link del br0');
  await createNetwork('lan');
  assert.match(await on('eth0', 'macvlan_mode=passthru'), /NET_PARENT_TAKEN/);
  const ipvlan = ['network', 'create', '-d', 'cleat-ipvlan', ...subnet, '-o', 'parent=eth0', 'other'];
  assert.match(await refused(...ipvlan), /eth0 serves the network .* of cleat-macvlan.*NET_PARENT_TAKEN/s);
});

test('router advertisements give containers a way out', async () => {
  const router = lan.neighbour.start('dnsmasq', [
    ...['--keep-in-foreground', '--port=0', '--interface=eth0', '--bind-interfaces', '--user=root'],
    ...['--enable-ra', '--dhcp-range=2001:db8::,ra-only,64', '--ra-param=eth0,4', '--dhcp-leasefile=/run/ra'],
  ]);
  await docker(...create('--internal', ...pools, ...options('parent=eth0'), 'lan'));
  await run('one', 'lan', 77, '--sysctl', 'net.ipv6.conf.default.accept_ra=2');
  await eventually('a default route by the router', async () =>
    /default via fe80::/.test(await inside('one', 'ip -6 route')),
  );
  await router.kill();
});

test('the host’s own routes follow the containers; the parent goes down and comes back, and gets another name', async () => {
  const { host } = at;
  await createNetwork('lan', 'cleat.host-access=on');
  const countRoutes = async () => (await routes(host)).split('\n').filter((line) => line !== '').length;
  await run('one', 'lan', 77);
  assert.is(await countRoutes(), 2);
  await run('two', 'lan', 78);
  assert.is(await countRoutes(), 4);
  for (const address of ['192.0.2.77', '2001:db8::77'])
    await eventually(`the host reaches ${address}`, () => hostReaches(host, address));
  await docker('rm', '-f', 'two');
  assert.is(await countRoutes(), 2);

  await host.sh('ip link set eth0 down');
  assert.not(await reached(77));
  await host.sh('ip link set eth0 up; ip addr replace 2001:db8::2/64 dev eth0 nodad');
  await eventually('the neighbour reaches one again', () => reached(77));
  await eventually('and the host', () => hostReaches(host, '192.0.2.77'));

  await host.sh('ip link set eth0 down; ip link set eth0 name wan0; ip link set wan0 up');
  await eventually('one keeps its link when the parent is renamed', () => reached(77));
  assert.match(
    await refused('run', '--rm', '--network', 'lan', 'busybox', 'true'),
    /"eth0" does not exist.*NET_PARENT_NOT_FOUND/,
  );
  await host.sh(
    'ip link set wan0 down; ip link set wan0 name eth0; ip link set eth0 up; ip addr replace 2001:db8::2/64 dev eth0 nodad',
  );
  await eventually('others can join again', async () => {
    await docker('run', '--rm', '--network', 'lan', 'busybox', 'true');
    return true;
  });
});

test('a parent that vanishes and comes back gives the containers their links again', async () => {
  const { host } = at;
  const plug =
    'ip link add wan0 type veth peer name wan1; ip link set wan0 up; ip link set wan1 up; ip addr add 203.0.113.1/24 dev wan1';
  await host.sh(plug);
  await docker(...create('--subnet', '203.0.113.0/24', '--gateway', '203.0.113.1', ...options('parent=wan0'), 'wan'));
  await docker('run', '-d', '--name', 'one', '--network', 'wan', '--ip', '203.0.113.7', 'busybox', 'sleep', '1000');
  await eventually('the first ping', () => hostReaches(host, '203.0.113.7'));
  const before = await inside('one', 'ip route; cat /sys/class/net/eth0/address');
  await host.sh('ip link del wan0');
  await host.sh(plug);
  await eventually('a ping over the new parent', () => hostReaches(host, '203.0.113.7'));
  assert.is(await inside('one', 'ip route; cat /sys/class/net/eth0/address'), before, 'routes and MAC are as before');
  await docker('rm', '-f', 'one');
  await host.sh('ip link del wan0');
});

test.run();
