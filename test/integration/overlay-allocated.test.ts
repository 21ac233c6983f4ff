/**
 * Networks of scope global: what an engine asks of the driver on a swarm's manager and on its nodes (test/captures,
 * managed-swarm), with two hosts whose addresses come from one place. No swarm: only its requests.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../support/deadline.ts';
import { requires } from '../support/requires.ts';
import { join, plug, startMachine, twoHosts } from './overlay-lab.ts';

requires('root', 'bridge', 'veth', 'nftables');

const networkId = '5wgozyvh8ilh8ma3zkwpza6z9';
const overlay = { scope: 'global', secret: 'a secret of two hosts', peers: ['192.0.2.1', '192.0.2.2'] };
const data = { addressSpace: '', pool: '10.91.0.0/24', gateway: '10.91.0.1/24', auxAddresses: {} };

test('the manager allocates, the nodes take any address that it gave, and containers reach each other', async () => {
  const { one, two, close } = await twoHosts();
  try {
    const machines = await Promise.all([startMachine(one, overlay), startMachine(two, overlay)]);
    const [a, b] = machines.map((machine) => ({ ...machine, networkId }));
    if (!a || !b) throw new Error('no machines');
    assert.is((await a.client.network.getCapabilities()).scope, 'global');
    const request = { networkId, options: { 'com.docker.network.driver.mtu': '1400' }, ipv4: [data], ipv6: [] };
    const options = await a.client.network.allocateNetwork(request);
    assert.is(options['cleat.network'], networkId, 'known to the hosts by its ID');
    assert.is(options['com.docker.network.driver.mtu'], '1400', 'and as it was asked for');
    const refused = a.client.network.allocateNetwork({ ...request, options: { nonsense: '1' } });
    assert.match(await refused.then(String, (error: Error) => error.message), /no option "nonsense"/);
    for (const { client } of [a, b]) {
      await client.network.discoverNew({ discoveryType: 1, data: { Address: '192.0.2.1', Self: true } });
      const flags = { enableIPv4: true, enableIPv6: false, internal: false };
      await client.network.createNetwork({ networkId, options, ...flags, ipv4: [data], ipv6: [] });
    }
    // Both of what would be the first host's share, were there shares.
    await plug(a, await join(a, '10.91.0.2/24'), '10.91.0.2/24');
    await plug(b, await join(b, '10.91.0.3/24'), '10.91.0.3/24');
    await eventually('there', () => one.sh('ip netns exec box ping -c1 -W1 10.91.0.3'));
    await eventually('and back', () => two.sh('ip netns exec box ping -c1 -W1 10.91.0.2'));
    assert.match(await one.sh('ip netns exec box ip link show dev eth0'), /mtu 1400/);
    for (const { client, host } of [a, b]) {
      await client.network.deleteNetwork({ networkId });
      assert.is(await host.sh("ip -o link | grep -E ' (cx|cl-|cv)' || true"), '', 'nothing is left');
    }
    await a.client.network.freeNetwork({ networkId });
  } finally {
    await close();
  }
});

test.run();
