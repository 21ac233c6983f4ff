/** Multicast over hosts: a group goes to the hosts that have members, and to no others; broadcasts go to all. */
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { vxlanName } from '../../plugins/network/link/names.ts';
import { vniOf } from '../../plugins/network/overlay/options.ts';
import { eventually } from '../support/deadline.ts';
import { createHost } from '../support/host.ts';
import { missing, requires } from '../support/requires.ts';
import { createSegment } from '../support/segment.ts';
import { createNetwork, join, type Machine, plug, startMachine } from './overlay-lab.ts';

requires('root', 'bridge', 'veth', 'nftables', 'program:socat', 'program:tcpdump', 'program:wireguard-go', 'tun');

const peers = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
const [music, silence] = ['239.1.1.1', '239.1.1.2'];

/** In the container: everything that comes for the group is written to a file. */
const listen = ({ host }: Machine, group: string) =>
  host.start('ip', [
    'netns',
    'exec',
    'box',
    'socat',
    '-u',
    `UDP4-RECV:5000,ip-add-membership=${group}:eth0`,
    'OPEN:/run/heard,creat,append',
  ]);
const send = ({ host }: Machine, group: string, word: string) =>
  host.sh(`echo ${word} | ip netns exec box socat -u - UDP4-DATAGRAM:${group}:5000 || true`);
const heard = ({ host }: Machine) => host.sh('cat /run/heard 2>/dev/null || true');

for (const encrypted of [false, true]) {
  test(`multicast ${encrypted ? 'encrypted' : 'in clear'}`, async () => {
    if (encrypted && missing('wireguard') !== undefined && missing('program:wireguard-go') !== undefined) return;
    const name = `music-${encrypted}`;
    const cx = vxlanName(vniOf(name));
    const segment = await createSegment();
    const hosts = await Promise.all(['a', 'b', 'c'].map((one) => createHost({ name: one })));
    try {
      const machines: Machine[] = [];
      for (const [index, host] of hosts.entries()) {
        await segment.attach(host, { addresses: [`${peers[index]}/24`] });
        machines.push(await startMachine(host, { secret: 'a secret of three hosts', peers }));
      }
      const [a, b, c] = machines as [Machine, Machine, Machine];
      for (const [index, machine] of machines.entries()) {
        const options = { 'cleat.network': name, ...(encrypted && { encrypted: '' }) };
        await createNetwork(machine, { options });
        const address = `10.9.0.${index * 64 + 10}/24`;
        await plug(machine, await join(machine, address), address);
        await machine.host.sh('ip -n box route add 224.0.0.0/4 dev eth0');
      }
      for (const last of [74, 138])
        await eventually('they reach each other', () => a.host.sh(`ip netns exec box ping -c1 -W1 10.9.0.${last}`));

      const member = listen(b, music);
      const table = () =>
        a.host.sh(`bridge -d mdb show dev ${cx} 2>/dev/null; bridge mdb show | grep 'port ${cx}' || true`);
      await eventually('the sender knows of the member', async () => (await table()).includes(music));
      await eventually('the member hears', async () => {
        await send(a, music, 'tune');
        return (await heard(b)).includes('tune');
      });

      // What the hosts get to see of it.
      const captures = [b, c].map(({ host }) =>
        host.start('tcpdump', ['-lnni', cx, 'dst net 239.0.0.0/8 or ether broadcast']),
      );
      const [onB, onC] = captures.map((capture) => () => capture.output()) as [() => string, () => string];
      await eventually('tcpdump listens', () => [onB(), onC()].every((text) => text.includes('listening on')));
      await eventually('the group reaches its member', async () => {
        await send(a, music, 'song');
        return onB().includes(music);
      });
      await send(a, silence, 'nothing');
      await a.host.sh('ip netns exec box ping -b -c1 -W1 10.9.0.255 || true');
      await eventually(
        'a broadcast reaches everybody',
        () => onB().includes('10.9.0.255') && onC().includes('10.9.0.255'),
      );
      await delay(200);
      assert.not.match(onC(), /239\.1\.1/, 'a host without members gets nothing of it');
      assert.not.ok(onB().includes(silence), 'and a group without members goes nowhere');
      for (const capture of captures) await capture.stop();

      // A second member, and the first one leaves.
      listen(c, music);
      await eventually('both hear', async () => {
        await send(a, music, 'both');
        return (await Promise.all([heard(b), heard(c)])).every((text) => text.includes('both'));
      });
      await member.stop();
      await eventually('the other still hears', async () => {
        await send(a, music, 'last');
        return (await heard(c)).includes('last');
      });
    } finally {
      await Promise.all([...hosts, segment].map((part) => part.close()));
    }
  });
}

test.run();
