/**
 * The encrypted way between hosts, by WireGuard: nothing readable on the wire, nothing in clear whatever dies, keys that change
 * under a stream. Hosts with daemons; containers are bare namespaces.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { vxlanName } from '../../plugins/network/link/names.ts';
import { vniOf } from '../../plugins/network/overlay/options.ts';
import { eventually } from '../support/deadline.ts';
import { createHost, type Host } from '../support/host.ts';
import { missing, requires } from '../support/requires.ts';
import type { Segment } from '../support/segment.ts';
import {
  join as attachTo,
  createNetwork,
  type Machine,
  plug,
  randomId,
  startMachine,
  stream,
  twoHosts,
} from './overlay-lab.ts';

requires('root', 'bridge', 'veth', 'nftables', 'tun', 'program:tcpdump');
if (missing('wireguard') !== undefined) requires('program:wireguard-go');

const secret = 'a secret of two hosts';
const network = { options: { 'cleat.network': 'secret', encrypted: '' } };
const cx = vxlanName(vniOf('secret'));
const words = 'this must not be read by anybody on the wire';

interface Two {
  readonly config: object;
  readonly a: Machine;
  readonly b: Machine;
  readonly segment: Segment;
}

async function withTwo(underlay: readonly [string, string], use: (two: Two) => Promise<void>): Promise<void> {
  const { one, two, segment, close } = await twoHosts(underlay);
  try {
    const config = { secret, peers: underlay, lease: '20s' };
    const [a, b] = await Promise.all([startMachine(one, config), startMachine(two, config)]);
    await Promise.all([a, b].map((machine) => createNetwork(machine, { ...network, pool6: 'fd00:9::/64' })));
    await attach(a, 10, 'fd00:9::a');
    await attach(b, 130, 'fd00:9:0:0:8000::b');
    await eventually('containers reach each other', () => ping(a, '10.9.0.130'));
    await use({ config, a, b, segment });
  } finally {
    await close();
  }
}

async function attach(machine: Machine, last: number, v6: string): Promise<void> {
  const addresses = [`10.9.0.${last}/24`, `${v6}/64`] as const;
  await plug(machine, await attachTo(machine, ...addresses), ...addresses);
}

const works = (host: Host, command: string): Promise<boolean> =>
  host.sh(command).then(
    () => true,
    () => false,
  );
const ping = ({ host }: Machine, to: string, more = '') => works(host, `ip netns exec box ping -c1 -W1 ${more} ${to}`);

/** Everything that passes the switch while `use` runs. */
async function captured(segment: Segment, use: () => Promise<void>): Promise<string> {
  const capture = segment.host.start('tcpdump', ['-lnni', 'sw', '-s0', '-A']);
  await eventually('tcpdump listens', () => capture.output().includes('listening on'));
  await use();
  await delay(300);
  await capture.stop();
  return capture.output();
}

test('two hosts: nothing is readable on the wire, the MTU is used whole, and what is not from the tunnel is not taken', async () => {
  await withTwo(['192.0.2.1', '192.0.2.2'], async ({ a, b, segment }) => {
    const text = Buffer.from(words).toString('hex').slice(0, 32);
    const seen = await captured(segment, async () => {
      assert.ok(await ping(a, '10.9.0.130', `-p ${text}`));
      assert.ok(await ping(a, 'fd00:9:0:0:8000::b'));
      // 1370 less IP 20 and ICMP 8: the largest that goes unbroken.
      assert.ok(await ping(a, '10.9.0.130', '-M do -s 1342'));
      const server = b.host.sh('ip netns exec box timeout 5 nc -lu 7000 | head -c 20');
      await eventually('UDP', () => b.host.sh('ip netns exec box ss -lun | grep -q :7000 && echo yes'));
      await a.host.sh(`echo '${words}' | ip netns exec box nc -u -q1 -w1 10.9.0.130 7000`);
      assert.is(await server, words.slice(0, 20));
      await a.host.sh('ip netns exec box ping -c1 -W1 10.9.0.77 || true', { timeoutMs: 5000 });
    });
    assert.match(seen, /192\.0\.2\.1\.478[67] > 192\.0\.2\.2\.478[67]: UDP/, 'WireGuard is on the wire');
    assert.not.match(seen, /VXLAN|\.4789|10\.9\.0|this must/, 'and nothing else of the network');
    assert.match(await a.host.sh('ip netns exec box ip link show dev eth0'), /mtu 1370/);
    if (missing('wireguard') !== undefined) await fitForStreams(a);

    // A frame of the network's VNI that comes by the wire in clear is not taken, however well it is made.
    const [stranger] = [await createHost({ name: 'stranger' })];
    try {
      await segment.attach(stranger, { addresses: ['192.0.2.66/24', '2001:db8::66/64'] });
      await b.host.sh('ip addr add 2001:db8::2/64 dev eth0 nodad');
      const tunnel = /local (fd\S+)/.exec(await b.host.sh(`ip -d link show dev ${cx}`))?.[1];
      const mac = await b.host.sh('cat /sys/class/net/eth0/address');
      await stranger.sh(
        `ip link add v6 type vxlan id ${vniOf('secret')} local 2001:db8::66 remote 2001:db8::2 dstport 4789
         ip link add v7 type vxlan id ${vniOf('secret')} local 2001:db8::66 remote ${tunnel} dstport 4790
         ip -6 route add ${tunnel} dev eth0; ip neigh add ${tunnel} lladdr ${mac} dev eth0
         ip addr add 10.9.0.99/24 dev v6; ip link set v6 up; ip link set v7 up`,
      );
      const count = async () => JSON.parse(await b.host.sh(`ip -j -s link show dev ${cx}`))[0].stats64.rx.packets;
      await eventually('the stranger reaches the host', () => works(stranger, 'ping -c1 -W1 2001:db8::2'));
      const before = await count();
      await works(stranger, 'ping -c3 -i0.2 -W1 10.9.0.130');
      await works(stranger, `ping -c1 -W1 ${tunnel}`);
      assert.ok((await count()) - before < 3, 'no frame of the stranger was taken');
      assert.not.ok(await works(stranger, `ping -c1 -W1 ${tunnel}`), "the tunnel's address does not answer outside");
    } finally {
      await stranger.close();
    }
    for (const machine of [a, b]) {
      await machine.client.network.deleteNetwork({ networkId: machine.networkId });
      const left =
        "ip -o link | grep -E 'cx[0-9]|cl-|cleat-wg'; ip -6 route show table all | grep fd4c; pgrep wireguard-go; nft list tables";
      await eventually('nothing is left', async () => (await machine.host.sh(`{ ${left}; } || true`)) === '');
    }
  });
});

test('over IPv6: whatever dies, traffic comes back by itself and nothing goes in clear; old hands and clear hosts get nothing', async () => {
  await withTwo(['2001:db8::1', '2001:db8::2'], async ({ a, b, segment }) => {
    assert.match(await a.host.sh('ip netns exec box ip link show dev eth0'), /mtu 1350/);
    const seen = await captured(segment, async () => {
      // The daemon alone: traffic goes on, and with the same tunnel when it is back.
      const tunnel = await a.host.sh('ip -o link show type tun');
      const alone = stream(a, '10.9.0.130', 0.1);
      await a.daemon.kill();
      await delay(500);
      await a.daemon.start();
      assert.equal(await alone.lost(), []);
      assert.is(await a.host.sh('ip -o link show type tun'), tunnel, 'the tunnel was not made anew');

      if (missing('wireguard') !== undefined) {
        // wireguard-go alone, under traffic.
        const pings = a.host.start('ip', 'netns exec box ping -i 0.2 -W1 -q 10.9.0.130'.split(' '));
        await a.host.sh('pkill -9 wireguard-go');
        await eventually('the way is back', () => ping(a, '10.9.0.130'), { timeoutMs: 10_000 });
        // Both: the way is closed, and nothing finds another one, not even by a default route.
        await a.daemon.kill();
        await a.host.sh('pkill -9 wireguard-go; ip -6 route add default via 2001:db8::2');
        await eventually(
          'the link is gone',
          async () => !(await works(a.host, 'ip link show dev cleat-wg0 || ip link show dev cleat-wg1')),
        );
        assert.not.ok(await ping(a, '10.9.0.130'));
        await a.host.sh('ip -6 route del unreachable fd4c:5b52:f669::/48');
        assert.not.ok(await ping(a, '10.9.0.130'), 'not even without the unreachable route');
        await a.daemon.start();
        await eventually('the way is back', () => ping(a, '10.9.0.130'), { timeoutMs: 10_000 });
        await pings.kill();
      }
      // The rules alone are taken away: the route is closed, and the rules are back.
      await a.host.sh('nft flush ruleset');
      await eventually('the rules are back', () =>
        works(a.host, 'nft list chain inet cleat tunnel_out | grep -q drop'),
      );
    });
    assert.not.match(seen, /VXLAN|\.4789|10\.9\.0/);

    // A host that has the network in clear is not spoken to.
    await b.client.network.deleteNetwork({ networkId: b.networkId });
    const clear = { ...b, networkId: randomId() };
    await createNetwork(clear, { options: { 'cleat.network': 'secret' }, pool6: 'fd00:9::/64' });
    await eventually('it is told why', async () =>
      (await a.daemon.cleat('overlay', 'peers').catch((error: { stdout: string }) => error.stdout)).includes(
        'in clear there',
      ),
    );
    const none = await captured(segment, async () => void (await ping(a, '10.9.0.130')));
    assert.not.match(none, /VXLAN|\.4789|10\.9\.0/);
  });
});

test('keys change under a stream, on one word and by their age, and no packet is lost', async () => {
  await withTwo(['192.0.2.1', '192.0.2.2'], async ({ a, b, config }) => {
    const streams = [stream(a, '10.9.0.130'), stream(b, '10.9.0.10')];
    const keys = ({ host }: Machine) => host.sh('wg show all public-key');
    const change = async (begin: () => Promise<unknown>) => {
      await eventually('the last change is over', async () =>
        (await Promise.all([a, b].map(rotatable))).every(Boolean),
      );
      const before = await Promise.all([keys(a), keys(b)]);
      await begin();
      for (const [index, machine] of [a, b].entries()) {
        await eventually(
          'one new key each',
          async () => {
            const shown = await keys(machine);
            return shown !== before[index] && !shown.includes('\n');
          },
          { timeoutMs: 60_000 },
        );
      }
    };
    // Refused while the others have not said yet that the last change is over.
    const rotate = () => eventually('new keys', () => b.daemon.cleat('overlay', 'rotate').then(() => true));
    await change(() => a.daemon.cleat('overlay', 'rotate'));
    await change(rotate);
    await change(async () => {
      writeFileSync(join(a.host.dir, 'networkd.json'), JSON.stringify({ overlay: { ...config, keyRotation: '5s' } }));
      await a.daemon.signal('SIGHUP');
    });
    for (const { lost } of streams) assert.equal(await lost(), []);
  });
});

/** What wireguard-go does not do itself: room for bursts, and segments that are put together. */
async function fitForStreams({ host }: Machine): Promise<void> {
  await eventually('both sockets have room', async () => {
    const sockets = (await host.sh("ss -Hlnum 'sport = :4786 or sport = :4787'")).match(/rb\d+/g);
    return sockets?.length === 2 && sockets.every((size) => size === `rb${2 << 20}`);
  });
  const sysfs = '/sys/class/net/';
  assert.is(
    await host.sh(`unshare -m sh -c 'mount -t sysfs sysfs /sys; cat ${sysfs}${cx}/gro_flush_timeout'`),
    '200000',
  );
}

/** Whether a change of keys could begin: the last one is over. Does not begin one. */
async function rotatable({ host }: Machine): Promise<boolean> {
  return (await host.sh('wg show interfaces')).split(' ').length === 1;
}

test.run();
