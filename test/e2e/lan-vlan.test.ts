/**
 * VLANs and ipvlan under an engine, which not every kernel has.
 *
 *     host: eth0, eth0.10 ── segment ── neighbour: eth0 192.0.2.9, eth0.10 198.51.100.9
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../support/deadline.ts';
import { requiresOrGuest } from '../support/guest.ts';
import { containerReaches, hostReaches, leftovers, removeAll, startLan } from './lan-scene.ts';

await requiresOrGuest('test/e2e/lan-vlan.test.ts', 'root', 'ipvlan', 'vlan', 'macvlan', 'engine-20.10');

test('tagged by macvlan, untagged by ipvlan, on one interface of a host', async () => {
  const lan = await startLan(['20.10']);
  try {
    const [at] = lan.hosts;
    assert.ok(at);
    const { docker, host } = at;
    const { neighbour } = lan;
    await neighbour.sh(`ip link add link eth0 name eth0.10 type vlan id 10; ip link set eth0.10 up
      ip addr add 198.51.100.9/24 dev eth0.10; ip addr add 2001:db8:a::9/64 dev eth0.10 nodad`);
    const create = (driver: string, ...more: string[]) => docker('network', 'create', '-d', driver, ...more);
    const run = (name: string, ...more: string[]) =>
      docker('run', '-d', '--name', name, ...more, 'busybox', 'sleep', '1000');

    const tagged = ['--subnet', '198.51.100.0/24', '--ipv6', '--subnet', '2001:db8:a::/64'];
    await create('cleat-macvlan', ...tagged, '-o', 'parent=eth0.10', 'tagged');
    await run('one', '--network', 'tagged', '--ip', '198.51.100.77', '--ip6', '2001:db8:a::77');
    for (const address of ['198.51.100.9', '2001:db8:a::9'])
      await eventually(`one reaches ${address}`, () => containerReaches(docker, 'one', address));
    assert.not(await containerReaches(docker, 'one', '192.0.2.9'), 'nothing untagged');
    assert.ok(await hostReaches(neighbour, '198.51.100.77'));

    await create('cleat-ipvlan', '--subnet', '192.0.2.0/24', '-o', 'parent=eth0', '-o', 'cleat.dns=sandbox', 'plain');
    await run('two', '--network', 'plain', '--ip', '192.0.2.77');
    await run('three', '--network', 'plain', '--ip', '192.0.2.78');
    for (const name of ['192.0.2.9', 'three'])
      await eventually(`two reaches ${name}`, () => containerReaches(docker, 'two', name));
    assert.ok(await hostReaches(neighbour, '192.0.2.77'));

    await removeAll(at);
    assert.is(await leftovers(host), '');
    assert.not.match(await host.sh('ip -o link'), /eth0\.10/, 'the VLAN went with its last network');
  } finally {
    await lan.close();
  }
});

test.run();
