/** Multicast over hosts: a group goes to the hosts that have members, and to no others; broadcasts go to all. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { vxlanName } from '../../plugins/network/link/names.ts';
import { vniOf } from '../../plugins/network/overlay/options.ts';
import { eventually } from '../support/deadline.ts';
import { createHost } from '../support/host.ts';
import type { HostProcess } from '../support/process.ts';
import { missing, requires } from '../support/requires.ts';
import { createSegment } from '../support/segment.ts';
import { createNetwork, join, type Machine, plug, startMachine } from './overlay-lab.ts';

requires('root', 'bridge', 'veth', 'nftables', 'program:socat', 'program:tcpdump', 'program:wireguard-go', 'tun');

const peers = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
/** Groups with a member, and without; one of each family. */
const music = ['239.1.1.1', 'ff15::1:1'];
const silence = ['239.1.1.2', 'ff15::1:2'];
const pool6 = 'fd00:9::/64';

/** In the container: everything that comes for the groups is written to a file. */
function listen({ host }: Machine): HostProcess[] {
  const [v4, v6] = music;
  const from = [
    `UDP4-RECV:5000,ip-add-membership=${v4}:eth0`,
    `UDP6-RECV:5000,ipv6only=1,ipv6-join-group=[${v6}]:eth0`,
  ];
  return from.map((one) =>
    host.start('ip', ['netns', 'exec', 'box', 'socat', '-u', one, 'OPEN:/run/heard,creat,append']),
  );
}
const send = ({ host }: Machine, groups: readonly string[], word: string) =>
  host.sh(
    groups
      .map((group) => (group.includes(':') ? [6, `[${group}]`] : [4, group]))
      .map(
        ([family, to]) =>
          `echo ${word}${family} | ip netns exec box socat -u - UDP${family}-DATAGRAM:${to}:5000 || true`,
      )
      .join('\n'),
  );
const heard = async ({ host }: Machine, word: string): Promise<boolean> => {
  const text = await host.sh('cat /run/heard 2>/dev/null || true');
  return [4, 6].every((family) => text.includes(`${word}${family}`));
};

for (const encrypted of [false, true]) {
  test(`multicast ${encrypted ? 'encrypted' : 'in clear'}`, async () => {
    if (encrypted && missing('wireguard') !== undefined && missing('program:wireguard-go') !== undefined) return;
    const name = `music-${encrypted}`;
    const cx = vxlanName(vniOf(name));
    const segment = await createSegment();
    const hosts = await Promise.all(['a', 'b', 'c'].map((one) => createHost({ name: one })));
    try {
      const machines = await Promise.all(
        hosts.map(async (host, index) => {
          await segment.attach(host, { addresses: [`${peers[index]}/24`] });
          return await startMachine(host, { secret: 'a secret of three hosts', peers });
        }),
      );
      const [a, b, c] = machines as [Machine, Machine, Machine];
      for (const [index, machine] of machines.entries()) {
        const options = { 'cleat.network': name, ...(encrypted && { encrypted: '' }) };
        await createNetwork(machine, { options, pool6 });
        const addresses = [`10.9.0.${index * 64 + 10}/24`, `fd00:9:0:0:${index * 4}000::a/64`] as const;
        await plug(machine, await join(machine, ...addresses), ...addresses);
        await machine.host.sh('ip -n box route add 224.0.0.0/4 dev eth0');
      }
      for (const to of ['10.9.0.74', '10.9.0.138', 'fd00:9:0:0:4000::a', 'fd00:9:0:0:8000::a'])
        await eventually('they reach each other', () => a.host.sh(`ip netns exec box ping -c1 -W1 ${to}`));

      const member = listen(b);
      const table = () =>
        a.host.sh(`bridge -d mdb show dev ${cx} 2>/dev/null; bridge mdb show | grep 'port ${cx}' || true`);
      const router = () => a.host.sh(`ip -d -j link show ${cx} | jq .[0].linkinfo.info_slave_data.multicast_router`);
      await eventually('the sender knows of the member, and that the third host has none', async () => {
        const shown = await table();
        const all = (await router()) !== '0';
        return !all && music.every((group) => shown.includes(group)) && !shown.includes(String(peers[2]));
      });
      await eventually('the member hears', async () => {
        await send(a, music, 'tune');
        return await heard(b, 'tune');
      });

      // What the hosts get to see of it.
      const captures = [b, c].map(({ host }) =>
        host.start('tcpdump', ['-lnni', cx, 'dst net 239.0.0.0/8 or dst net ff15::/16 or ether broadcast']),
      );
      const [onB, onC] = captures.map((capture) => () => capture.output()) as [() => string, () => string];
      await eventually('tcpdump listens', () => [onB(), onC()].every((text) => text.includes('listening on')));
      await eventually('the groups reach their member', async () => {
        await send(a, music, 'song');
        return music.every((group) => onB().includes(group));
      });
      // A bridge floods until those that it asked have had their time to answer, a second.
      await eventually('a group without members goes nowhere, and a broadcast to everybody', async () => {
        const before = [onB().length, onC().length];
        await send(a, silence, 'nothing');
        await a.host.sh('ip netns exec box ping -b -c1 -W1 10.9.0.255 || true');
        const since = () => [onB, onC].map((output, index) => output().slice(before[index]));
        await eventually('a broadcast is seen', () => since().every((text) => text.includes('10.9.0.255')));
        return !since().some((text) => silence.some((group) => text.includes(group)));
      });
      assert.not.ok(
        music.some((group) => onC().includes(group)),
        'a host without members gets nothing of it',
      );
      for (const capture of captures) await capture.stop();

      // A second member, and the first one leaves.
      listen(c);
      await eventually('both hear', async () => {
        await send(a, music, 'both');
        return (await Promise.all([heard(b, 'both'), heard(c, 'both')])).every(Boolean);
      });
      for (const one of member) await one.stop();
      await eventually('the other still hears', async () => {
        await send(a, music, 'last');
        return await heard(c, 'last');
      });

      // The gateway is found by neighbour discovery, also when its host's membership has ended.
      await a.host.sh(
        `bridge=$(ip -j link show type bridge | jq -r '.[0].ifname')
         bridge mdb del dev $bridge port $bridge grp ff02::1:ff00:1
         ip -n box neigh flush dev eth0
         ip netns exec box ping -c1 -W2 fd00:9::1`,
      );
    } finally {
      await Promise.all([...hosts, segment].map((part) => part.close()));
    }
  });
}

test.run();
