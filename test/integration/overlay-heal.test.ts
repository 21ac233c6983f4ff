/**
 * What a host of an overlay does when its links or entries are taken away, and when it was not there while others changed. Two
 * hosts with daemons; containers are records only, for nothing here needs their traffic.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { vxlanName } from '../../plugins/network/link/names.ts';
import { vniOf } from '../../plugins/network/overlay/options.ts';
import { eventually } from '../support/deadline.ts';
import type { Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { createNetwork, join, type Machine, plug, randomId, startMachine, stream, twoHosts } from './overlay-lab.ts';

requires('root', 'bridge', 'veth', 'nftables');

const peers = ['192.0.2.1', '192.0.2.2'];
const config = { overlay: { secret: 'a secret of two hosts', lease: '3s', peers } };
const cx = vxlanName(vniOf('heal'));

const start = (host: Host, overlay: object = {}) => startMachine(host, { ...config.overlay, ...overlay });
const heal = (options: Readonly<Record<string, string>> = {}) => ({ options: { 'cleat.network': 'heal', ...options } });

/** Addresses of other hosts' containers that the kernel knows wholly: the way to the host, to the port, and the neighbour. */
async function known({ host }: Machine): Promise<string> {
  const fdb = await host.sh(`bridge fdb show dev ${cx} 2>/dev/null || true`);
  const neighbours = await host.sh('ip -4 neigh show nud permanent');
  const whole = [...neighbours.matchAll(/^(\S+) dev cl-\S+ lladdr (\S+)/gm)].filter(
    ([, , mac]) => fdb.includes(`${mac} dst `) && new RegExp(`${mac} (vlan 1 )?master cl-`).test(fdb),
  );
  const everybody = /00:00:00:00:00:00 dst /.test(fdb) ? ['all'] : [];
  return [...whole.map(([, address]) => address).sort(), ...everybody].join(' ');
}

const knows = (machine: Machine, what: string) =>
  eventually(`"${what}" is known`, async () => (await known(machine)) === what);

test('links and entries that go are made again; a restart finds what has changed; a host that is gone leaves nothing', async () => {
  const { one, two, close } = await twoHosts();
  try {
    const a = await start(one);
    const b = await start(two);
    await createNetwork(a, heal());
    await createNetwork(b, heal());
    const first = await join(b, '10.9.0.130/24');
    await knows(a, '10.9.0.130 all');

    const twice = createNetwork({ ...a, networkId: randomId() }, heal()).catch((error: Error) => error.message);
    assert.match(String(await twice), /name heal belongs to the network/);

    await one.sh(`ip link del ${cx}`);
    await knows(a, '10.9.0.130 all');
    await one.sh('ip link del $(ip -o link show type bridge | grep -o "cl-[0-9a-f]*" | head -1)');
    await knows(a, '10.9.0.130 all');

    const [, mac] =
      /^10\.9\.0\.130 dev cl-\S+ lladdr (\S+)/m.exec(await one.sh('ip -4 neigh show nud permanent')) ?? [];
    const told = () => [...a.daemon.log().matchAll(/entries that somebody changed were put right/g)].length;
    const before = told();
    await one.sh(
      `bridge fdb del ${mac} dev ${cx} self
       bridge fdb del ${mac} dev ${cx} master
       bridge fdb del 00:00:00:00:00:00 dev ${cx} dst 192.0.2.2
       ip neigh flush 10.9.0.130 nud permanent`,
    );
    await eventually('a line in the log', () => told() > before);
    await knows(a, '10.9.0.130 all');

    // While the first daemon is away, one container goes and another comes.
    await a.daemon.kill();
    await b.client.network.leave({ networkId: b.networkId, endpointId: first });
    await b.client.network.deleteEndpoint({ networkId: b.networkId, endpointId: first });
    await join(b, '10.9.0.131/24');
    assert.is(await known(a), '10.9.0.130 all', 'the data plane stays as it was');
    await a.daemon.start();
    await knows(a, '10.9.0.131 all');

    // The other host is gone for good, while nobody looked.
    await a.daemon.kill();
    await b.daemon.kill();
    await a.daemon.start();
    assert.is(await known(a), '10.9.0.131 all', 'within the lease');
    await knows(a, '');
    await a.client.network.deleteNetwork({ networkId: a.networkId });
    assert.is(await one.sh("ip -o link | grep -E ' (cx|cl-|cv)' || true"), '');
  } finally {
    await close();
  }
});

test('over IPv6, with a daemon that is killed at any moment: traffic never stops, and both know the same in the end', async () => {
  const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 4);
  const underlay = ['2001:db8::1', '2001:db8::2'] as const;
  const { one, two, close } = await twoHosts(underlay);
  try {
    const a = await start(one, { peers: underlay, lease: '30s' });
    const b = await start(two, { peers: underlay, lease: '30s' });
    for (const machine of [a, b]) await createNetwork(machine, heal());
    await plug(a, await join(a, '10.9.0.10/24'), '10.9.0.10/24');
    await plug(b, await join(b, '10.9.0.130/24'), '10.9.0.130/24');
    await Promise.all([knows(a, '10.9.0.130 all'), knows(b, '10.9.0.10 all')]);
    await eventually('a ping', () => one.sh('ip netns exec box ping -c1 -W1 10.9.0.130'));
    assert.match(await one.sh('ip netns exec box ip link show dev eth0'), /mtu 1430/);

    const pings = stream(a, '10.9.0.130', 0.1);
    for (let round = 0; round < rounds; round += 1) {
      // An engine repeats a call that died with the daemon.
      const calls = Promise.allSettled([join(a, `10.9.0.${20 + round}/24`), join(b, `10.9.0.${140 + round}/24`)]);
      await delay(Math.random() * 40);
      await a.daemon.kill();
      await a.daemon.start();
      await calls;
      await knows(a, await told(b));
      await knows(b, await told(a));
    }
    assert.equal(await pings.lost(), []);
  } finally {
    await close();
  }
});

/** What the other host should know of this one. */
async function told({ daemon }: Machine): Promise<string> {
  const { endpoints } = JSON.parse(await daemon.cleat('status', '--json'));
  const rows: { state: string; addresses: string[] }[] = endpoints ?? [];
  const joined = rows.filter(({ state }) => state === 'joined').flatMap(({ addresses }) => addresses);
  return [...joined.sort(), 'all'].join(' ');
}

test.run();
