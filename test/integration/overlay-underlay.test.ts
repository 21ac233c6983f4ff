/**
 * Networks over a bad way between two hosts: every packet of the underlay passes this process, which lets it wait, lie or go on.
 * Late packets overtake each other.
 *
 *     one 192.0.2.1 eth0 ── port1 ── this process ── port2 ── eth0 192.0.2.2 two
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { callControl } from '../../plugins/cli/control.ts';
import { activeFeatures, setFeature } from '../../plugins/linux/ethtool.ts';
import { inNetns, openNetns } from '../../plugins/linux/netns.ts';
import { ETH_P_IP, PacketSocket } from '../../plugins/linux/packet-socket.ts';
import type { OverlayPeerRow } from '../../plugins/network/overlay/control.ts';
import { eventually } from '../support/deadline.ts';
import { missing, requires } from '../support/requires.ts';
import {
  createNetwork,
  join,
  type Machine,
  plug,
  randomId,
  startMachine,
  type TwoHosts,
  twoHosts,
} from './overlay-lab.ts';

requires('root', 'bridge', 'veth', 'nftables', 'tun', 'program:socat');
if (missing('wireguard') !== undefined) requires('program:wireguard-go');

const peers = ['192.0.2.1', '192.0.2.2'];
const macs = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const;
const linkMtu = 1420;

interface Way {
  /** 0 to 1. */
  readonly loss: number;
  /** Larger packets, bytes of IP, vanish. */
  readonly largest: number;
  /** Milliseconds: of each packet another one between these. */
  readonly delay: readonly [number, number];
  /** The hosts leave checksums to their card, and this one forgets those inside VXLAN. */
  readonly forgetful: boolean;
}

/** Takes the place of the switch. Close what it gives. */
async function layWay({ one, two, segment }: TwoHosts, way: Way): Promise<{ close(): void }> {
  for (const [index, host] of [one, two].entries()) {
    // Each packet is segmented before it is here.
    await host.sh(
      `ip link set eth0 mtu ${linkMtu} address ${macs[index]} gso_max_segs 1
       ip neigh replace ${peers[1 - index]} lladdr ${macs[1 - index]} dev eth0 nud permanent`,
    );
    using netns = openNetns(host.netns);
    if (!way.forgetful) inNetns(netns, () => setFeature('eth0', 'tx-checksum-ip-generic', false));
  }
  const indexes = await segment.host.sh(
    'for port in port1 port2; do ip link set $port nomaster; ip -o link show $port | cut -d: -f1; done',
  );
  const [left = 0, right = 0] = indexes.split('\n').map(Number);
  using netns = openNetns(segment.host.netns);
  const open = (link: number, mac: string, to: () => PacketSocket) =>
    new PacketSocket({ netns, link, protocol: ETH_P_IP, onPacket: (packet) => carry(packet, way, mac, to()) });
  const sockets: [PacketSocket, PacketSocket] = [
    open(left, macs[1], () => sockets[1]),
    open(right, macs[0], () => sockets[0]),
  ];
  return {
    close: () => {
      for (const socket of sockets) socket.close();
    },
  };
}

function carry(
  packet: Buffer,
  { loss, largest, delay: [least, most], forgetful }: Way,
  mac: string,
  to: PacketSocket,
): void {
  if (packet.length > largest || Math.random() < loss) return;
  const copy = Buffer.from(packet);
  if (forgetful) fillChecksum(copy);
  const pass = () => {
    try {
      to.send(mac, copy);
    } catch {
      // The test is over.
    }
  };
  if (most === 0) pass();
  else setTimeout(pass, least + Math.random() * (most - least));
}

/** As a card does it, but not of what is inside: TCP (RFC 9293 §3.1) and UDP (RFC 768) over IPv4. */
function fillChecksum(packet: Buffer): void {
  const [head = 0, protocol = 0] = [packet[0], packet[9]];
  const place = protocol === 6 ? 16 : protocol === 17 ? 6 : undefined;
  if (place === undefined) return;
  const segment = packet.subarray((head & 0x0f) * 4, packet.readUInt16BE(2));
  segment.writeUInt16BE(0, place);
  const pseudo = [packet.subarray(12, 20), Buffer.from([0, protocol, segment.length >> 8, segment.length & 0xff])];
  const words = Buffer.concat([...pseudo, segment, Buffer.alloc(segment.length % 2)]);
  let sum = 0;
  for (let at = 0; at < words.length; at += 2) sum += words.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  segment.writeUInt16BE(~sum & 0xffff || 0xffff, place);
}

const start = (hosts: TwoHosts): Promise<Machine[]> =>
  Promise.all([hosts.one, hosts.two].map((host) => startMachine(host, { secret: 'a secret of two hosts', peers })));

/** A network with a container on each host; returns how to take it away. */
async function build(
  machines: readonly Machine[],
  options: Readonly<Record<string, string>>,
): Promise<() => Promise<void>> {
  const all = machines.map((machine) => ({ ...machine, networkId: randomId() }));
  for (const one of all)
    await createNetwork(one, { options: { 'cleat.network': 'way', ...options }, pool6: 'fd00:9::/64' });
  for (const [index, one] of all.entries()) {
    const addresses = index === 0 ? ['10.9.0.10/24', 'fd00:9::10/64'] : ['10.9.0.130/24', 'fd00:9:0:0:8000::1/64'];
    await plug(one, await join(one, ...(addresses as [string, string])), ...addresses);
  }
  return async () => {
    for (const { host, client, networkId } of all) {
      await host.sh('ip netns del box');
      await client.network.deleteNetwork({ networkId });
    }
  };
}

/** A file from one container to the other. */
async function send({ one, two }: TwoHosts, family: 4 | 6, address: string): Promise<void> {
  const sent = await one.sh('[ -e /run/sent ] || head -c 300000 /dev/urandom >/run/sent; sha256sum </run/sent');
  const server = two.start('ip', [
    'netns',
    'exec',
    'box',
    'socat',
    '-u',
    `TCP${family}-LISTEN:7000,reuseaddr`,
    'CREATE:/run/got',
  ]);
  await eventually('it listens', () => two.sh("ip netns exec box ss -Hltn 'sport = 7000' | grep -q . && echo yes"));
  await one.sh(
    `ip netns exec box socat -u OPEN:/run/sent TCP${family}:${family === 6 ? `[${address}]` : address}:7000`,
  );
  await eventually('all of it is written', () => !server.running());
  assert.is(await two.sh('sha256sum </run/got'), sent);
}

async function theOther({ host, daemon }: Machine): Promise<OverlayPeerRow | undefined> {
  return (await callControl<OverlayPeerRow[]>(host.path(daemon.runDir), 'networkd', 'GET', '/overlay/peers'))[0];
}

for (const [kind, options, mtu] of [
  ['clear', {}, linkMtu - 50],
  ['encrypted', { encrypted: 'true' }, linkMtu - 130],
] as const) {
  test(`packets that come late, in another order, or never: whole files arrive, ${kind}`, async () => {
    const hosts = await twoHosts();
    const way = await layWay(hosts, { loss: 0.02, largest: linkMtu, delay: [5, 15], forgetful: false });
    try {
      const machines = await start(hosts);
      const [first] = machines;
      assert.ok(first);
      await build(machines, options);
      const targets = [
        [4, '10.9.0.130'],
        [6, 'fd00:9:0:0:8000::1'],
      ] as const;
      for (const [family, address] of targets) {
        const payload = mtu - (family === 4 ? 28 : 48);
        await eventually(`whole packets to ${address}`, () =>
          hosts.one.sh(`ip netns exec box ping -c1 -W1 -q -Mdo -s${payload} ${address}`),
        );
        await send(hosts, family, address);
      }
      await eventually('the way is told as it is', async () => {
        const row = await theOther(first);
        const tested =
          kind === 'encrypted' || ((row?.latencyMs ?? 0) > 10 && row?.pathMtu === mtu && row.checksums === 'good');
        return tested && row?.state === 'connected' && row.problem === '';
      });
    } finally {
      way.close();
      await hosts.close();
    }
  });
}

test('a way that swallows large packets is told, with what passes and what to do', async () => {
  const hosts = await twoHosts();
  const way = await layWay(hosts, { loss: 0, largest: 1387, delay: [0, 0], forgetful: false });
  try {
    const machines = await start(hosts);
    await hosts.one.sh('ip link set eth0 mtu 1300');
    const narrow = await build(machines, {}).catch((error: Error) => error.message);
    assert.match(String(narrow), /leaves 1250 bytes, IPv6 needs 1280; .* larger by 30/);
    await hosts.one.sh(`ip link set eth0 mtu ${linkMtu}`);
    const remove = await build(machines, {});
    for (const machine of machines)
      await eventually('it is told', async () => {
        const row = await theOther(machine);
        return row?.pathMtu === 1337 && /more than 1337 bytes .*driver\.mtu=1337/.test(row.problem);
      });
    assert.is(await machines[0]?.daemon.cleat('overlay', 'peers').catch((error) => error.exitCode), 1);
    await remove();
    await build(machines, { 'com.docker.network.driver.mtu': '1337' });
    for (const machine of machines)
      await eventually('what was advised is enough', async () => {
        const row = await theOther(machine);
        return row?.pathMtu === 1337 && row.problem === '';
      });
  } finally {
    way.close();
    await hosts.close();
  }
});

test('a card that forgets checksums inside VXLAN: found, and mended on our devices alone', async () => {
  const hosts = await twoHosts();
  const way = await layWay(hosts, { loss: 0, largest: linkMtu, delay: [0, 0], forgetful: true });
  try {
    using netns = openNetns(hosts.one.netns);
    const card = () => inNetns(netns, () => activeFeatures('eth0').has('tx-checksum-ip-generic'));
    assert.ok(card());
    const machines = await start(hosts);
    const remove = await build(machines, {});
    for (const machine of machines)
      await eventually('it is mended', async () => (await theOther(machine))?.checksums === 'mended');
    await send(hosts, 4, '10.9.0.130');
    assert.ok(card(), 'the card stays as it was');
    // A VXLAN that is made later is mended from the start.
    await remove();
    await build(machines, { 'cleat.vni': '7' });
    await eventually('traffic', () => hosts.one.sh('ip netns exec box ping -c1 -W1 10.9.0.130'));
    await send(hosts, 6, 'fd00:9:0:0:8000::1');
  } finally {
    way.close();
    await hosts.close();
  }
});

test.run();
