/**
 * Hosts on one segment that send plain IP to each other (`cleat.direct`), and a stranger on the segment that must not get in.
 *
 *     box 10.9.0.10 ─ one 192.0.2.1 ──┐                ┌── two 192.0.2.2 ─ box 10.9.0.130
 *                                     ├─── segment ────┤
 *                                     └ stranger .9 ───┘
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../support/deadline.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { createNetwork, join, type Machine, plug, randomId, startMachine, stream, twoHosts } from './overlay-lab.ts';

requires('root', 'bridge', 'veth', 'nftables', 'program:socat', 'program:tcpdump');

const secret = 'a secret of two hosts';
const options = { 'cleat.network': 'near', 'cleat.direct': 'on' };
const inBox = 'ip netns exec box';

/** What is left of the TTL when the answer comes: 62 by two routers, 64 by VXLAN. */
async function ttl({ host }: Pick<Machine, 'host'>, to: string): Promise<number> {
  const text = await host.sh(`${inBox} ping -c1 -W1 ${to}`);
  return Number(/(?:ttl|hlim)=(\d+)/.exec(text)?.[1]);
}

const ttlIs = (machine: Machine, to: string, wanted: number) =>
  eventually(`TTL ${wanted} from ${to}`, async () => {
    await machine.host.sh('ip -n box neigh flush all');
    return (await ttl(machine, to).catch(() => undefined)) === wanted;
  });

/** The address that a container's server sees. */
async function seenBy(server: Machine, client: Machine, address: string): Promise<string> {
  const listening = server.host.start('ip', [
    ...['netns', 'exec', 'box', 'socat', 'TCP-LISTEN:80,reuseaddr,fork', 'SYSTEM:echo $SOCAT_PEERADDR'],
  ]);
  try {
    return await eventually('an answer', async () => {
      const text = await client.host.sh(`${inBox} socat -u TCP:${address}:80,connect-timeout=2 -`);
      return text === '' ? undefined : text;
    });
  } finally {
    await listening.kill();
  }
}

async function linkLocalOf(host: Host): Promise<string> {
  return /inet6 (fe80::\S+)\//.exec(await host.sh('ip -6 addr show dev eth0 scope link'))?.[1] ?? '';
}

const ourRoutes = (host: Host) => host.sh('ip route show proto 99; ip -6 route show proto 99');

/** A container on each host, with an address of each family. */
async function plugBoth(a: Machine, b: Machine): Promise<void> {
  for (const [machine, v4, v6] of [
    [a, '10.9.0.10/24', 'fd00:9::10/64'],
    [b, '10.9.0.130/24', 'fd00:9:0:0:8000::10/64'],
  ] as const)
    await plug(machine, await join(machine, v4, v6), v4, v6);
}

test('plain IP between peers on the segment, from nobody else, and by VXLAN when the segment is left', async () => {
  const { one, two, segment, close } = await twoHosts();
  const stranger = await createHost({ name: 'stranger' });
  try {
    await segment.attach(stranger, { addresses: ['192.0.2.9/24'] });
    const peers = ['192.0.2.1', '192.0.2.2'];
    const a = await startMachine(one, { secret, peers });
    const b = await startMachine(two, { secret, peers });
    for (const machine of [a, b]) await createNetwork(machine, { options, pool6: 'fd00:9::/64' });
    await plugBoth(a, b);

    const wire = segment.host.start('tcpdump', ['-i', 'sw', '-nn', '-l', 'icmp and host 10.9.0.10']);
    await eventually('the capture', () => wire.output().includes('listening on'));
    await ttlIs(a, '10.9.0.130', 62);
    await ttlIs(b, '10.9.0.10', 62);
    await eventually('plain packets on the wire', () => wire.output().includes('IP 10.9.0.10 > 10.9.0.130: ICMP echo'));
    await wire.kill();
    assert.is(await seenBy(b, a, '10.9.0.130'), '10.9.0.10', 'nobody translates');
    assert.is(await seenBy(a, b, '10.9.0.10'), '10.9.0.130');
    const rows = JSON.parse(await a.daemon.cleat('overlay', 'peers', '--json'));
    assert.is(rows[0]?.way, 'direct');
    const way = await a.daemon.cleat('overlay', 'trace', '10.9.0.10', '10.9.0.130');
    assert.match(way, /route +10\.9\.0\.130 via 192\.0\.2\.2 dev eth0/);

    // IPv6 too, by the hosts' link-local addresses.
    await ttlIs(a, 'fd00:9:0:0:8000::10', 62);
    await ttlIs(b, 'fd00:9::10', 62);
    const linkLocals = await Promise.all([one, two].map(linkLocalOf));
    const way6 = await a.daemon.cleat('overlay', 'trace', 'fd00:9::10', 'fd00:9:0:0:8000::10');
    assert.match(way6, new RegExp(`route +fd00:9::8000:0:0:10 via ${linkLocals[1]} dev eth0`));

    // A stranger with an address of the network or its own, straight to the host or by way of the other one.
    const box = two.start('ip', ['netns', 'exec', 'box', 'tcpdump', '-i', 'eth0', '-nn', '-l', 'icmp or icmp6']);
    await eventually('the capture', () => box.output().includes('listening on'));
    await stranger.sh('ip addr add 10.9.0.77/32 dev lo; sysctl -qw net.ipv4.ip_forward=1');
    for (const by of ['192.0.2.2', '192.0.2.1'])
      for (const source of ['10.9.0.77', '192.0.2.9'])
        await stranger.sh(
          `ip route replace 10.9.0.130 via ${by} src ${source}; ping -c2 -i0.1 -W1 -I ${source} 10.9.0.130 || true`,
        );
    await stranger.sh('ip addr add fd00:9::77/128 dev lo; ip addr add 2001:db8::9/128 dev lo');
    for (const by of linkLocals)
      for (const source of ['fd00:9::77', '2001:db8::9'])
        await stranger.sh(
          `ip route replace fd00:9:0:0:8000::10 via ${by} dev eth0; ping -c2 -i0.1 -W1 -I ${source} fd00:9:0:0:8000::10 || true`,
        );
    await ttl(a, '10.9.0.130');
    await ttl(a, 'fd00:9:0:0:8000::10');
    await eventually('a packet of the other container', () => box.output().includes('10.9.0.10 > 10.9.0.130'));
    await eventually('and one of IPv6', () => box.output().includes('fd00:9::10 > fd00:9::8000:0:0:10'));
    assert.not.match(box.output(), /IP6? (10\.9\.0\.77|192\.0\.2\.9|fd00:9::77|2001:db8::9) >/);
    await box.kill();
    // Without a link-local address IPv6 goes by VXLAN, and IPv4 as before.
    await two.sh('sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1');
    await eventually('no route of IPv6', async () =>
      (await Promise.all([one, two].map(ourRoutes))).every(
        (routes) => routes.startsWith('10.') && !routes.includes(':'),
      ),
    );
    await two.sh('ip -n box neigh flush all');
    await ttlIs(a, 'fd00:9:0:0:8000::10', 64);
    await ttlIs(a, '10.9.0.130', 62);

    // What goes on while a daemon is killed, entries are taken away, and the way changes to VXLAN and back.
    const pings = stream(a, '10.9.0.130', 0.1);
    await a.daemon.kill();
    await a.daemon.start();
    await one.sh('ip route add 192.0.2.2 via 192.0.2.9');
    await eventually('no route', async () => (await ourRoutes(one)) === '');
    // The TTL is that of the answer, and only the one who answers has left the segment.
    await one.sh('ip -n box neigh flush all');
    await ttlIs(b, '10.9.0.10', 64);
    await ttlIs(a, '10.9.0.130', 62);
    await one.sh('ip route del 192.0.2.2 via 192.0.2.9');
    await eventually('a route', async () => (await ourRoutes(one)) !== '');
    await one.sh('ip -n box neigh flush all');
    await ttlIs(b, '10.9.0.10', 62);
    assert.equal(await pings.lost(), []);
    await one.sh('ip route flush proto 99; ip neigh del proxy 10.9.0.130 dev $(ip -br link | grep -o "^cl-[0-9a-f]*")');
    await ttlIs(a, '10.9.0.130', 62);

    for (const other of [{ encrypted: '' }, { 'com.docker.network.bridge.enable_icc': 'false' }]) {
      const given = { options: { ...options, ...other, 'cleat.network': 'other' }, pool: '10.8.0.0/24' };
      const refused = createNetwork({ ...a, networkId: randomId() }, given).catch((error: Error) => error.message);
      assert.match(String(await refused), /cleat\.direct and .* exclude each other/);
    }
    await a.client.network.deleteNetwork({ networkId: a.networkId });
    assert.is(await ourRoutes(one), '');
    assert.is(await one.sh('nft list chain inet cleat direct_in 2>/dev/null || true'), '');
    await eventually('no route on the other host', async () => (await ourRoutes(two)) === '');
  } finally {
    await stranger.close();
    await close();
  }
});

test('over IPv6 its own family goes directly with all of the wire, the other one by VXLAN', async () => {
  const underlay = ['2001:db8::1', '2001:db8::2'] as const;
  const { one, two, close } = await twoHosts(underlay);
  try {
    const machines = await Promise.all([one, two].map((host) => startMachine(host, { secret, peers: underlay })));
    const [a, b] = machines as [Machine, Machine];
    const whole = { ...options, 'com.docker.network.driver.mtu': '1500' };
    for (const machine of machines) await createNetwork(machine, { options: whole, pool6: 'fd00:9::/64' });
    await plugBoth(a, b);
    await ttlIs(a, 'fd00:9:0:0:8000::10', 62);
    await ttlIs(b, 'fd00:9::10', 62);
    await ttlIs(a, '10.9.0.130', 64);
    await a.host.sh(`${inBox} ping -c1 -W1 -M do -s ${1500 - 40 - 8} fd00:9:0:0:8000::10`);
    // TCP hears what does not fit into a VXLAN, and sends less.
    b.host.start('ip', ['netns', 'exec', 'box', 'socat', '-u', 'TCP-LISTEN:81,reuseaddr', 'OPEN:/run/got,creat']);
    await eventually('a listener', () => b.host.sh(`${inBox} ss -Hltn sport = 81 | grep -q LISTEN`));
    await a.host.sh(`head -c 1000000 /dev/zero | ${inBox} socat -u - TCP:10.9.0.130:81`);
    await eventually('all of it', async () => (await b.host.sh('stat -c %s /run/got')) === '1000000');
  } finally {
    await close();
  }
});

test.run();
