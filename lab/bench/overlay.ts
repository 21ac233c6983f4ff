/**
 * Containers on two of three hosts, on our overlay beside others on the same hosts and wire:
 *
 *     clear       a VXLAN made by hand on Docker's built-in bridge (`throughput`, `latency`); Docker's own overlay of a swarm (`swarm-…`);
 *                 the wire itself, from host to host (`wire`, for the table alone)
 *     encrypted   a WireGuard of the same kind from host to host, without VXLAN and containers
 *     join        the third host
 */
import { vxlanName } from '../../plugins/network/link/names.ts';
import { vniOf } from '../../plugins/network/overlay/options.ts';
import { startDaemon } from '../../test/support/daemon.ts';
import { eventually } from '../../test/support/deadline.ts';
import { type Engine, startEngine } from '../../test/support/engine.ts';
import { createHost, type Host } from '../../test/support/host.ts';
import { createSegment } from '../../test/support/segment.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { interleave, median } from './harness/interleave.ts';

interface Machine {
  readonly host: Host;
  readonly engine: Engine;
}

/** A way from the first host to the second: by which program, and to where. */
interface Way {
  readonly address: string;
  run(...args: readonly string[]): Promise<string>;
}

const peers = ['192.0.2.1', '192.0.2.2', '192.0.2.3'] as const;
const seconds = 2;
/** What the hosts themselves are asked for by iperf3. */
const hostWays = { wire: peers[1], tunnel: '10.99.0.2' } as const;

export const bench: Bench = {
  name: 'overlay',
  about:
    'TCP and latency between containers of two hosts, against a VXLAN made by hand and a swarm, encrypted against WireGuard alone; joining',
  rounds: 7,
  run: measure,
};

async function measure(context: BenchContext): Promise<Figure[]> {
  const parts: { close(): Promise<void> }[] = [];
  try {
    const segment = await createSegment();
    parts.push(segment);
    const machines: Machine[] = [];
    for (const [index, address] of peers.entries()) {
      const host = await createHost({ name: `host${index}` });
      parts.push(host);
      await segment.attach(host, { addresses: [`${address}/24`] });
      const config = { overlay: { secret: 'a secret of three hosts', peers } };
      await startDaemon('networkd', host, { config, logLevel: 'info' });
      const engine = await startEngine({ version: '28', host, images: ['tools'] });
      parts.push(engine);
      machines.push({ host, engine });
    }
    const [client, server, third] = machines as [Machine, Machine, Machine];
    await createPeers([client, server]);
    const clear = await containers([client, server], 'clear');
    const sealed = await containers([client, server], 'sealed');
    const byHand = await containers([client, server], 'byhand');
    const swarm = await containers([client, server], 'swarm');
    const [wire, tunnel] = [hostWay(client, 'wire'), hostWay(client, 'tunnel')];
    for (const port of Object.values(hostWays)) server.host.start('iperf3', ['-s', '-B', port]);
    for (const way of [clear, sealed, byHand, swarm, wire, tunnel])
      await eventually(`iperf3 answers at ${way.address}`, () => gigabits(way));
    const figures: Figure[] = [];
    const compare = async (variant: string, ours: Way, peer: Way) => {
      context.say(variant || 'clear');
      const rates = await both(context.rounds, ours, peer, gigabits);
      const times = await both(context.rounds, ours, peer, roundTripMs);
      figures.push(
        { variant: `${variant}throughput`, ours: rates.ours, peer: rates.peer, unit: 'Gbit/s', rate: true },
        { variant: `${variant}latency`, ours: times.ours, peer: times.peer, unit: 'ms' },
      );
    };
    await compare('', clear, byHand);
    await compare('encrypted-', sealed, tunnel);
    await compare('swarm-', clear, swarm);
    context.say('the wire');
    const wires: number[] = [];
    for (let round = 0; round < context.rounds; round += 1) wires.push(await gigabits(wire));
    const note = 'from host to host, without VXLAN: nothing to compare with';
    figures.push({ variant: 'wire', ours: median(wires), peer: undefined, unit: 'Gbit/s', note });
    context.say('joining');
    const joins: number[] = [];
    for (let round = 0; round < context.rounds; round += 1) joins.push(await join([client, server], third));
    figures.push({
      variant: 'join',
      ours: median(joins),
      peer: undefined,
      unit: 'ms',
      note: 'docker network create on the third host until both others send there; by hand nobody tells them',
    });
    return figures;
  } finally {
    for (const part of parts.reverse()) await part.close();
  }
}

/** The networks that are compared, on the two hosts. */
async function createPeers(machines: readonly [Machine, Machine]): Promise<void> {
  const [{ engine: manager, host }, { engine: worker, host: other }] = machines;
  for (const [index, { engine, host: one }] of machines.entries()) {
    const range = index * 64;
    const local = ['--ip-range', `10.90.0.${range}/26`];
    const overlay = ['network', 'create', '-d', 'cleat-overlay', '--subnet', '10.90.0.0/24', '--gateway', '10.90.0.1'];
    await engine.docker(...overlay, ...local, '-o', 'cleat.network=clear', 'clear');
    const sealed = overlay.map((word) => word.replace('10.90', '10.93'));
    const sealedRange = ['--ip-range', `10.93.0.${range}/26`];
    await engine.docker(...sealed, ...sealedRange, '-o', 'encrypted', '-o', 'cleat.network=sealed', 'sealed');
    await engine.docker(
      ...['network', 'create', '-d', 'bridge', '--subnet', '10.91.0.0/24', '--gateway', `10.91.0.${range + 1}`],
      ...['--ip-range', `10.91.0.${range}/26`, '-o', 'com.docker.network.bridge.name=byhand'],
      ...['-o', 'com.docker.network.driver.mtu=1450', 'byhand'],
    );
    await one.sh(
      `ip link add vxhand mtu 1450 type vxlan id 42 local ${peers[index]} remote ${peers[1 - index]} dstport 4790
       ip link set vxhand master byhand up
       wireguard-go hand
       wg genkey > /run/hand.key
       wg set hand listen-port 4700 private-key /run/hand.key
       ip addr add 10.99.0.${index + 1}/24 dev hand
       ip link set hand mtu 1420 up`,
    );
  }
  const keys = await Promise.all([host, other].map((one) => one.sh('wg show hand public-key')));
  for (const [index, { host: one }] of machines.entries())
    await one.sh(
      `wg set hand peer ${keys[1 - index]} endpoint ${peers[1 - index]}:4700 allowed-ips 10.99.0.${2 - index}/32`,
    );
  await manager.docker('swarm', 'init', '--advertise-addr', peers[0], '--listen-addr', peers[0]);
  const token = await manager.docker('swarm', 'join-token', '-q', 'worker');
  await worker.docker('swarm', 'join', '--token', token, '--advertise-addr', peers[1], peers[0]);
  await manager.docker('network', 'create', '-d', 'overlay', '--attachable', '--subnet', '10.92.0.0/24', 'swarm');
}

/** A server on the second host, and the way to it from a container of the first one. */
async function containers([client, server]: readonly [Machine, Machine], network: string): Promise<Way> {
  const named = ['-d', '--name', network, '--network', network, 'tools'];
  await server.engine.docker('run', ...named, 'iperf3', '-s');
  await client.engine.docker('run', ...named, 'sleep', '86400');
  const [{ NetworkSettings }] = JSON.parse(await server.engine.docker('inspect', network));
  const run: Way['run'] = (...args) => client.engine.docker('exec', network, ...args);
  return { address: NetworkSettings.Networks[network].IPAddress, run };
}

function hostWay({ host }: Machine, name: keyof typeof hostWays): Way {
  return { address: hostWays[name], run: async (file, ...args) => (await host.run(file ?? '', args)).stdout };
}

async function gigabits({ address, run }: Way): Promise<number> {
  const report = JSON.parse(await run('iperf3', '-J', '-t', `${seconds}`, '-c', address));
  return report.end.sum_received.bits_per_second / 1e9;
}

/** Mean of a hundred. */
async function roundTripMs({ address, run }: Way): Promise<number> {
  const text = await run('ping', '-q', '-c', '100', '-i', '0.01', address);
  const mean = /= [\d.]+\/([\d.]+)\//.exec(text)?.[1];
  if (mean === undefined) throw new Error(`ping said no mean: ${text}`);
  return Number(mean);
}

async function join(others: readonly Machine[], third: Machine): Promise<number> {
  const create = (index: number) => [
    ...['network', 'create', '-d', 'cleat-overlay', '--subnet', '10.94.0.0/24', '--gateway', '10.94.0.1'],
    ...['--ip-range', `10.94.0.${index * 64}/26`, '-o', 'cleat.network=joined', 'joined'],
  ];
  for (const [index, { engine }] of others.entries()) await engine.docker(...create(index));
  const begin = performance.now();
  await third.engine.docker(...create(2));
  for (const { host } of others) {
    const fdb = () => host.sh(`bridge fdb show dev ${vxlanName(vniOf('joined'))}`);
    await eventually('the others send there', async () => (await fdb()).includes(peers[2]), { everyMs: 5 });
  }
  const ms = performance.now() - begin;
  for (const { engine } of [...others, third]) await engine.docker('network', 'rm', 'joined');
  return ms;
}

async function both(rounds: number, ours: Way, peer: Way, ask: (way: Way) => Promise<number>) {
  const samples = await interleave(rounds, { ours: () => ask(ours), peer: () => ask(peer) });
  return { ours: median(samples.ours), peer: median(samples.peer) };
}
