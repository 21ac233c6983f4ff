/**
 * One host behind a router that masquerades, one outside that cannot dial it: an encrypted network works, one in clear says why not.
 *
 *     inside 198.51.100.2 ── 198.51.100.1 router 192.0.2.1 ── 192.0.2.2 outside
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { OverlayPeerRow } from '../../plugins/network/overlay/control.ts';
import { eventually } from '../support/deadline.ts';
import { createHost } from '../support/host.ts';
import { missing, requires } from '../support/requires.ts';
import { createSegment } from '../support/segment.ts';
import { createNetwork, join, type Machine, plug, randomId, startMachine } from './overlay-lab.ts';

requires('root', 'bridge', 'veth', 'nftables', 'tun', 'program:conntrack');
if (missing('wireguard') !== undefined) requires('program:wireguard-go');

const peers = ['198.51.100.2', '192.0.2.2'];

const ping = ({ host }: Machine, to: string) => host.sh(`ip netns exec box ping -c1 -W1 -q ${to}`);
const rows = async ({ daemon }: Machine): Promise<OverlayPeerRow[]> =>
  JSON.parse(await daemon.cleat('overlay', 'peers', '--json').catch((error: { stdout: string }) => error.stdout));

test('behind a NAT: traffic both ways, through a lost mapping, new keys and a restart; in clear it is said that nothing passes', async () => {
  const hosts = await Promise.all(['inside', 'router', 'outside'].map((name) => createHost({ name })));
  const segments = await Promise.all([createSegment(), createSegment()]);
  const [inner, outer] = segments;
  const [inside, router, outside] = hosts;
  if (!inside || !router || !outside) throw new Error('three hosts were asked for');
  try {
    await outer.attach(router, { name: 'eth0', addresses: ['192.0.2.1/24'] });
    await inner.attach(router, { name: 'eth1', addresses: ['198.51.100.1/24'] });
    await inner.attach(inside, { addresses: ['198.51.100.2/24'], gateway: '198.51.100.1' });
    await outer.attach(outside, { addresses: ['192.0.2.2/24'] });
    await router.sh(
      `echo 1 > /proc/sys/net/ipv4/ip_forward
       nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority srcnat; };
            add rule ip nat post oifname eth0 masquerade random'`,
    );
    const config = { secret: 'a secret of two hosts', peers, lease: '6s' };
    const [a, b] = (await Promise.all([inside, outside].map((host) => startMachine(host, config)))) as [
      Machine,
      Machine,
    ];
    for (const machine of [a, b]) await createNetwork(machine, { options: { 'cleat.network': 'far', encrypted: '' } });
    await plug(a, await join(a, '10.9.0.10/24'), '10.9.0.10/24');
    await plug(b, await join(b, '10.9.0.130/24'), '10.9.0.130/24');
    await eventually('from the inside', () => ping(a, '10.9.0.130'));
    await eventually('from the outside', () => ping(b, '10.9.0.10'));
    const [seen] = await rows(b);
    assert.is(seen?.state, 'connected', "it speaks by the other's connection");
    assert.match(await outside.sh('wg show all endpoints'), /192\.0\.2\.1:\d+/, "the router's address");

    // The router forgets: what the inside sends next makes the outside find it again.
    await router.sh('conntrack -F 2>/dev/null');
    await eventually('from the inside again', () => ping(a, '10.9.0.130'));
    await eventually('from the outside again', () => ping(b, '10.9.0.10'));

    const before = await outside.sh('wg show all public-key');
    await eventually('new keys', () => b.daemon.cleat('overlay', 'rotate').then(() => true));
    await eventually(
      'the keys have changed',
      async () => {
        const now = await outside.sh('wg show all public-key');
        return now !== before && !now.includes('\n');
      },
      { timeoutMs: 60_000 },
    );
    await ping(b, '10.9.0.10');

    await b.daemon.kill();
    await b.daemon.start();
    await eventually('after a restart', () => ping(b, '10.9.0.10'));
    await eventually('they hear each other', async () =>
      [...(await rows(a)), ...(await rows(b))].every(({ state, problem }) => state === 'connected' && problem === ''),
    );

    for (const machine of [a, b]) {
      const options = { 'cleat.network': 'clear' };
      await createNetwork({ ...machine, networkId: randomId() }, { options, pool: '10.8.0.0/24' });
    }
    await eventually('that nothing passes is said', async () =>
      (await rows(b)).some(({ overlay, problem }) => overlay === 'clear' && problem.includes('nothing passes')),
    );
  } finally {
    await Promise.all([...hosts, ...segments].map((part) => part.close()));
  }
});

test.run();
