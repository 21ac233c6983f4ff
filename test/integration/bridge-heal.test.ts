/** Rules come back: after a flush, an edit, a deleted rule in DOCKER-USER, over both iptables back ends. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginClient } from '../../plugins/sdk/client.ts';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { ask, type Container, createLab, type Lab, networkRequest, newId, serve } from './bridge-lab.ts';

requires('root', 'bridge', 'veth', 'nftables', 'program:iptables-legacy', 'program:iptables-nft');

let lab: Lab;
let container: Container;

test.before(async () => {
  lab = await createLab();
  const net = await lab.network({ pools: ['192.0.2.0/24', '2001:db8:1::/64'] });
  container = await lab.container(net, { address: '192.0.2.2/24', address6: '2001:db8:1::2/64', ports: ['8080:80'] });
  await serve(container, lab.host, 'web');
});
test.after(() => lab?.close());

const table = () => lab.host.sh('nft list table inet cleat');

test('whatever is done to the table is undone, and the log says by whom', async () => {
  const before = await table();
  const attacks = {
    'nft flush ruleset': /deleted/,
    'nft delete table inet cleat': /deleted table/,
    'nft flush table inet cleat': /deleted rule/,
    'nft delete element inet cleat publish4 "{ tcp . 8080 }"': /deleted element/,
    'nft insert rule inet cleat forward accept': /new rule/,
    'nft add chain inet cleat mine': /new chain/,
  };
  for (const [attack, words] of Object.entries(attacks)) {
    const logged = lab.daemon.log().length;
    await lab.host.sh(attack);
    await eventually(`repair after ${attack}`, async () => (await table()) === before, { everyMs: 20 });
    const line = await eventually('a log line', () =>
      lab.daemon
        .log()
        .slice(logged)
        .split('\n')
        .find((text) => text.includes('somebody changed the table')),
    );
    assert.match(line, words);
    assert.match(line, /"by":"nft"/);
    assert.match(await ask(lab.outside, '198.51.100.1', 8080), /^web /);
  }
});

test('our own changes are no reason to repair', async () => {
  const logged = lab.daemon.log().length;
  const other = await lab.container(container.networkId, { address: '192.0.2.3/24', ports: ['8081:80'] });
  await other.remove();
  // The watch rests 150 ms before it repairs: a change by nft after ours flushes out anything that was still to come.
  await lab.host.sh('nft add chain inet cleat mine');
  await eventually('one repair', () => lab.daemon.log().slice(logged).includes('somebody changed the table'));
  assert.is(lab.daemon.log().slice(logged).split('somebody changed the table').length - 1, 1);
});

for (const back of ['nft', 'legacy'] as const) {
  test(`DOCKER-USER over iptables-${back}, IPv4 and IPv6: one rule behind the user's, kept, and traffic passes policy drop`, async () => {
    const host = await createHost({ name: back, iptables: back });
    try {
      await host.sh(`
for ipt in iptables ip6tables; do
  $ipt -N DOCKER-USER; $ipt -A DOCKER-USER -p udp --dport 9 -j DROP; $ipt -A DOCKER-USER -j RETURN
  $ipt -I FORWARD -j DOCKER-USER; $ipt -P FORWARD DROP
done
ip netns add client; ip link add up0 type veth peer name eth0 netns client
ip link set up0 up; ip addr add 198.51.100.1/24 dev up0; ip -n client link set eth0 up; ip -n client addr add 198.51.100.9/24 dev eth0`);
      const daemon = await startDaemon('networkd', host);
      const { network } = new PluginClient({ url: `unix://${daemon.socket('cleat-bridge')}` });
      const rules = (ipt: string) => host.sh(`${ipt} -S DOCKER-USER | grep -v '^-N'`);
      const wanted =
        /^-A DOCKER-USER -p udp .*-j DROP\n-A DOCKER-USER -m mark --mark 0x8000000\/0x8000000 .*-j ACCEPT\n-A DOCKER-USER -j RETURN$/;
      const networkId = newId();
      await network.createNetwork(networkRequest(networkId, { pools: ['192.0.2.0/24'] }));
      for (const ipt of ['iptables', 'ip6tables']) {
        await eventually(`the rule in ${ipt}`, async () => wanted.test(await rules(ipt)));
        await host.sh(`${ipt} -D DOCKER-USER 2`);
        await eventually(`the rule in ${ipt} again`, async () => wanted.test(await rules(ipt)), { everyMs: 20 });
      }
      const bare = { host, client: { network }, internal: new Set() } as unknown as Lab;
      const { makeContainer } = await import('./bridge-lab.ts');
      const web = await makeContainer(bare, networkId, { address: '192.0.2.2/24', ports: ['8080:80'] });
      await serve(web, host, 'web');
      const asked = await host.sh(
        'nsenter --net=/run/netns/client timeout 4 socat -t 1 - TCP4:198.51.100.1:8080,connect-timeout=2',
      );
      assert.is(asked, 'web [0000:0000:0000:0000:0000:ffff:c633:6409]');
      const other = back === 'nft' ? 'legacy' : 'nft';
      assert.is(await host.sh(`iptables-${other} -S | grep -c cleat || true`), '0', 'nothing in the other back end');
      await host.sh('iptables -F DOCKER-USER; iptables -F FORWARD; iptables -X DOCKER-USER');
      await host.sh('iptables -N DOCKER-USER; iptables -I FORWARD -j DOCKER-USER');
      await eventually('the rule in a new chain', async () => (await rules('iptables')).includes('0x8000000'));
    } finally {
      await host.close();
    }
  });
}

test.run();
