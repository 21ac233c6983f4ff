/** Containers on two hosts: our overlay beside a VXLAN made by hand on Docker's own bridge, on the same two hosts. */
import { vxlanName } from '../../plugins/network/link/names.ts';
import { vniOf } from '../../plugins/network/overlay/options.ts';
import { startDaemon } from '../../test/support/daemon.ts';
import { eventually } from '../../test/support/deadline.ts';
import { type Engine, startEngine } from '../../test/support/engine.ts';
import { createHost, type Host } from '../../test/support/host.ts';
import { createSegment } from '../../test/support/segment.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { interleave, median } from './harness/interleave.ts';

type Who = 'ours' | 'peer';
interface Machine {
  readonly host: Host;
  readonly engine: Engine;
}

const peers = ['192.0.2.1', '192.0.2.2'] as const;
const servers: Readonly<Record<Who, string>> = { ours: '10.90.0.130', peer: '10.91.0.130' };
const seconds = 2;

export const bench: Bench = {
  name: 'overlay',
  about:
    'TCP and latency between containers of two hosts, against a VXLAN made by hand on the built-in bridge; joining',
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
      const config = { overlay: { secret: 'a secret of two hosts', peers } };
      await startDaemon('networkd', host, { config, logLevel: 'info' });
      const engine = await startEngine({ version: '28', host, images: ['tools'] });
      parts.push(engine);
      machines.push({ host, engine });
      await createNetworks({ host, engine }, index);
    }
    const [client, server] = machines as [Machine, Machine];
    await startContainers(client, server);
    context.say('throughput');
    const rates = await both(context.rounds, (who) => gigabits(client, who));
    context.say('latency');
    const times = await both(context.rounds, (who) => roundTripMs(client, who));
    context.say('joining');
    const joins: number[] = [];
    for (let round = 0; round < context.rounds; round += 1) joins.push(await join(client, server));
    return [
      { variant: 'throughput', ours: median(rates.ours), peer: median(rates.peer), unit: 'Gbit/s', rate: true },
      { variant: 'latency', ours: median(times.ours), peer: median(times.peer), unit: 'ms' },
      {
        variant: 'join',
        ours: median(joins),
        peer: undefined,
        unit: 'ms',
        note: 'docker network create on a second host until the first one sends there; by hand nobody tells it',
      },
    ];
  } finally {
    for (const part of parts.reverse()) await part.close();
  }
}

async function createNetworks({ host, engine }: Machine, index: number): Promise<void> {
  const range = index * 128;
  await engine.docker(
    ...['network', 'create', '-d', 'cleat-overlay', '--subnet', '10.90.0.0/24', '--gateway', '10.90.0.1'],
    ...['--ip-range', `10.90.0.${range}/25`, '-o', 'cleat.network=bench', 'ours'],
  );
  await engine.docker(
    ...['network', 'create', '-d', 'bridge', '--subnet', '10.91.0.0/24', '--gateway', `10.91.0.${range + 1}`],
    ...['--ip-range', `10.91.0.${range}/25`, '-o', 'com.docker.network.bridge.name=byhand'],
    ...['-o', 'com.docker.network.driver.mtu=1450', 'peer'],
  );
  const [own, other] = index === 0 ? peers : [peers[1], peers[0]];
  await host.sh(
    `ip link add vxhand mtu 1450 type vxlan id 42 local ${own} remote ${other} dstport 4790
     ip link set vxhand master byhand up`,
  );
}

async function startContainers(client: Machine, server: Machine): Promise<void> {
  for (const who of ['ours', 'peer'] as const) {
    const name = ['--name', who, '--network', who];
    await server.engine.docker('run', '-d', ...name, '--ip', servers[who], 'tools', 'iperf3', '-s');
    await client.engine.docker('run', '-d', ...name, 'tools', 'sleep', '86400');
    await eventually(`iperf3 answers on ${who}`, () => gigabits(client, who));
  }
}

async function gigabits({ engine }: Machine, who: Who): Promise<number> {
  const report = JSON.parse(await engine.docker('exec', who, 'iperf3', '-J', '-t', `${seconds}`, '-c', servers[who]));
  return report.end.sum_received.bits_per_second / 1e9;
}

/** Mean of a hundred. */
async function roundTripMs({ engine }: Machine, who: Who): Promise<number> {
  const text = await engine.docker('exec', who, 'ping', '-q', '-c', '100', '-i', '0.01', servers[who]);
  const mean = /= [\d.]+\/([\d.]+)\//.exec(text)?.[1];
  if (mean === undefined) throw new Error(`ping said no mean: ${text}`);
  return Number(mean);
}

async function join(first: Machine, second: Machine): Promise<number> {
  const create = (index: number) => [
    ...['network', 'create', '-d', 'cleat-overlay', '--subnet', '10.92.0.0/24', '--gateway', '10.92.0.1'],
    ...['--ip-range', `10.92.0.${index * 128}/25`, '-o', 'cleat.network=joined', 'joined'],
  ];
  await first.engine.docker(...create(0));
  const begin = performance.now();
  await second.engine.docker(...create(1));
  await eventually('the first host sends there', async () => (await fdb(first)).includes(peers[1]), { everyMs: 5 });
  const ms = performance.now() - begin;
  for (const { engine } of [first, second]) await engine.docker('network', 'rm', 'joined');
  return ms;
}

/** Of the network `joined`. */
function fdb({ host }: Machine): Promise<string> {
  return host.sh(`bridge fdb show dev ${vxlanName(vniOf('joined'))}`);
}

function both(rounds: number, ask: (who: Who) => Promise<number>) {
  return interleave(rounds, { ours: () => ask('ours'), peer: () => ask('peer') });
}
