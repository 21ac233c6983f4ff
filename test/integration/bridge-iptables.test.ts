/**
 * cleat-bridge on a host without nftables: with iptables insisted on, and with the library taken away. The traffic of published ports
 * over iptables is bridge-publish-iptables.test.ts.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CommandError } from '../../plugins/linux/command.ts';
import { PluginClient } from '../../plugins/sdk/client.ts';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'program:iptables-legacy');

// The lab takes the packet filter from here.
process.env['CLEAT_FIREWALL'] ??= 'iptables-legacy';
const { ask, createLab, networkRequest, newId, serve } = await import('./bridge-lab.ts');

test('isolation, masquerade and ports by traffic; rules that come back; kill -9; nothing left in the end', async () => {
  const lab = await createLab();
  try {
    const pools = ['192.0.2.0/25', '2001:db8:1::/64'];
    const net = await lab.network({ pools });
    const other = await lab.network({ pools: ['192.0.2.128/25', '2001:db8:2::/64'] });
    const closed = await lab.network({ pools: ['203.0.113.0/24'], internal: true });
    const web = await lab.container(net, {
      address: '192.0.2.2/25',
      address6: '2001:db8:1::2/64',
      ports: ['8080:80', '127.0.0.1|8081:80', '9000-9009:9000-9009'],
    });
    const far = await lab.container(other, { address: '192.0.2.130/25', address6: '2001:db8:2::130/64' });
    const inner = await lab.container(closed, { address: '203.0.113.2/24' });
    await serve(web, lab.host, 'web');
    const reaches = (from: { sh(script: string): Promise<string> }, address: string, port: number) =>
      from.sh(`timeout 3 bash -c 'exec 3<>/dev/tcp/${address}/${port} && head -c 3 <&3' 2>/dev/null || true`);

    const check = async () => {
      assert.match(await ask(lab.outside, '198.51.100.1', 8080), /^web .*198\.51\.100\.9|^web .*c633:6409/);
      assert.match(await ask(lab.outside, '2001:db8:51::1', 8080), /^web /);
      assert.match(await ask(lab.host, '127.0.0.1', 8081), /^web /);
      assert.match(await ask(lab.host, '::1', 8080), /^web /);
      assert.is(await ask(lab.outside, '198.51.100.1', 8081), '');
      assert.is(await reaches(far, '198.51.100.1', 8080), 'web', 'by the published port from another network');
      assert.is(await reaches(web, '198.51.100.1', 8080), 'web', 'from itself');
      assert.is(await reaches(far, '192.0.2.2', 80), '', 'not by its own address');
      assert.is(await reaches(inner, '198.51.100.1', 8080), '', 'nobody leaves an internal network');
      // A neighbour that knows a way to our subnet.
      await lab.outside.sh('ip route replace 192.0.2.0/25 via 198.51.100.1');
      assert.is(await reaches(lab.outside, '192.0.2.2', 80), '');
    };
    await check();
    // Outgoing connections have the address of the host.
    const caught = lab.outside.start('socat', ['-u', 'TCP4-LISTEN:7000,reuseaddr', 'SYSTEM:"echo $SOCAT_PEERADDR"']);
    await lab.outside.sh('for i in $(seq 100); do ss -Hltn | grep -q ":7000 " && exit 0; sleep 0.05; done');
    await web.sh('echo | socat -u - TCP4:198.51.100.9:7000');
    await eventually('the connection', () => caught.output().includes('198.51.100.1'));

    const before = await lab.rules();
    for (const attack of [
      'iptables -t nat -F',
      'iptables -F FORWARD',
      'ip6tables -F CLEAT-FORWARD',
      'iptables -I FORWARD -j ACCEPT',
      'iptables -t nat -D CLEAT-PUBLISHED 1',
    ]) {
      const logged = lab.daemon.log().length;
      await lab.host.sh(attack);
      await eventually(`a log line after ${attack}`, () =>
        lab.daemon.log().slice(logged).includes('somebody changed the chains CLEAT-'),
      );
      assert.is(await lab.rules(), before, attack);
      if (attack.includes('-j ACCEPT')) await lab.host.sh('iptables -D FORWARD -j ACCEPT');
    }

    await lab.daemon.kill();
    assert.match(await ask(lab.outside, '198.51.100.1', 8080), /^web /, 'while the daemon is down');
    await lab.host.sh('iptables -t nat -F; iptables -N CLEAT-from-gone; iptables -A CLEAT-from-gone -j DROP');
    await lab.daemon.start();
    assert.is(await lab.rules(), before, 'written again at the start, and a chain of nobody is gone');
    await check();

    for (const container of [web, far, inner]) await container.remove();
    for (const networkId of [net, other, closed]) await lab.client.network.deleteNetwork({ networkId });
    assert.is(await lab.rules(), '', 'gone with the last network');
    const again = await lab.network({ pools });
    assert.match(await lab.rules(), new RegExp(`CLEAT-to-${again.slice(0, 12)}`));
    assert.match(await lab.daemon.cleat('purge', '--yes'), /CLEAT-/);
    assert.is(await lab.rules(), '');
  } finally {
    await lab.close();
  }
});

test('a host without libnftables: the daemon works by iptables, doctor says so and why', async () => {
  const host = await createHost({ name: 'bare', iptables: 'legacy' });
  try {
    await host.sh('for lib in $(readlink -f /usr/lib/*/libnftables.so.1); do mount --bind /dev/null $lib; done');
    const why = 'libnftables.so.1 is not installed';
    const daemon = await startDaemon('networkd', host);
    assert.match(daemon.log(), new RegExp(`"reason":"${why}.*rules are written by iptables`));
    const doctor = await daemon.cleat('doctor').catch((error: CommandError) => error.stdout);
    assert.match(doctor, new RegExp(`packet filter +.*iptables v.* in place of nftables, since ${why}`));
    const client = new PluginClient({ url: `unix://${daemon.socket('cleat-bridge')}` });
    const networkId = newId();
    await client.network.createNetwork(networkRequest(networkId, { pools: ['192.0.2.0/24'] }));
    assert.match(await host.sh('iptables-save'), new RegExp(`-o cl-${networkId.slice(0, 12)} -g CLEAT-to-`));
    await client.network.deleteNetwork({ networkId });
    assert.is(await host.sh('iptables-save | grep -c CLEAT- || true'), '0');
  } finally {
    await host.close();
  }
});

test.run();
