/** Containers on the LAN beside the built-in macvlan driver: attaching, and bulk TCP to a neighbour. */
import { createHost, type Host } from '../../test/support/host.ts';
import { createSegment } from '../../test/support/segment.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { interleave, median, type Samples, timeMs } from './harness/interleave.ts';
import { call, createContainer, onStage, type Stage, startContainer } from './harness/stage.ts';

/** Two networks on one parent; without the question for duplicates, which the built-in driver does not ask. */
const lans = { ours: 'lan-ours', probing: 'lan-probing', peer: 'lan-builtin' } as const;
type Who = keyof typeof lans;

const neighbourAddress = '192.0.2.9';
const seconds = 2;

export const bench: Bench = {
  name: 'macvlan',
  about: 'docker run, connect and TCP throughput on the LAN, against the built-in macvlan driver of the same engine',
  rounds: 15,
  run: (context) => onStage({ images: ['busybox', 'tools'] }, (stage) => measure(stage, context)),
};

async function measure(stage: Stage, context: BenchContext): Promise<Figure[]> {
  const segment = await createSegment();
  const neighbour = await createHost({ name: 'neighbour' });
  try {
    await segment.attach(stage.host, { addresses: ['192.0.2.1/24'] });
    await segment.attach(neighbour, { addresses: [`${neighbourAddress}/24`, '198.51.100.9/24', '203.0.113.9/24'] });
    await createNetworks(stage);
    const { engine } = stage;
    context.say('docker run');
    const runOn = (who: Who) => timeMs(() => engine.docker('run', '--rm', '--network', lans[who], 'busybox', 'true'));
    const runs = await interleave(context.rounds, { ours: () => runOn('ours'), peer: () => runOn('peer') });
    const asking = await interleave(context.rounds, { ours: () => runOn('probing'), peer: () => runOn('peer') });
    context.say('connect');
    const connects = await measureConnects(stage, context);
    context.say('throughput');
    const rates = await measureRates(stage, context, neighbour);
    return [
      { variant: 'run', ours: median(runs.ours), peer: median(runs.peer), unit: 'ms' },
      {
        variant: 'run-probed',
        ours: median(asking.ours),
        peer: median(asking.peer),
        unit: 'ms',
        note: 'with the question whether somebody has the address, which the peer does not ask',
      },
      { variant: 'connect', ours: median(connects.ours), peer: median(connects.peer), unit: 'ms' },
      { variant: 'throughput', ours: median(rates.ours), peer: median(rates.peer), unit: 'Gbit/s', rate: true },
    ];
  } finally {
    await Promise.all([neighbour.close(), segment.close()]);
  }
}

async function createNetworks({ engine }: Stage): Promise<void> {
  const create = (name: string, subnet: string, driver: string, ...more: string[]) =>
    engine.docker('network', 'create', '-d', driver, '--subnet', subnet, '-o', 'parent=eth0', ...more, name);
  await create(lans.ours, '198.51.100.0/25', 'cleat-macvlan', '-o', 'cleat.duplicate-probe=off');
  await create(lans.probing, '198.51.100.128/25', 'cleat-macvlan');
  await create(lans.peer, '203.0.113.0/24', 'macvlan');
}

async function measureConnects({ engine }: Stage, context: BenchContext): Promise<Samples> {
  const idle = await createContainer(engine, 'idle', { command: ['sleep', '86400'], networks: ['bridge'] });
  await startContainer(engine, idle);
  const connectTo = async (who: 'ours' | 'peer'): Promise<number> => {
    const ms = await timeMs(() => call(engine, 'POST', `/networks/${lans[who]}/connect`, { Container: idle }));
    await call(engine, 'POST', `/networks/${lans[who]}/disconnect`, { Container: idle });
    return ms;
  };
  return interleave(context.rounds * 2, { ours: () => connectTo('ours'), peer: () => connectTo('peer') });
}

/** From a container to the neighbour, in whose subnets its address is on-link. */
async function measureRates({ engine }: Stage, context: BenchContext, neighbour: Host): Promise<Samples> {
  const clients = { ours: '198.51.100.9', peer: '203.0.113.9' } as const;
  for (const who of ['ours', 'peer'] as const) {
    await startContainer(
      engine,
      await createContainer(engine, `client-${who}`, {
        image: 'tools',
        command: ['sleep', '86400'],
        networks: [lans[who]],
      }),
    );
  }
  const rate = async (who: 'ours' | 'peer'): Promise<number> => {
    const server = await neighbour.start('iperf3', ['-s', '-p', '5301']);
    try {
      const out = await engine.docker(
        'exec',
        `client-${who}`,
        'iperf3',
        '-c',
        clients[who],
        '-p',
        '5301',
        '-t',
        `${seconds}`,
        '--json',
      );
      return (
        (JSON.parse(out) as { end: { sum_received: { bits_per_second: number } } }).end.sum_received.bits_per_second /
        1e9
      );
    } finally {
      await server.kill();
    }
  };
  return interleave(Math.max(3, Math.round(context.rounds / 3)), {
    ours: () => rate('ours'),
    peer: () => rate('peer'),
  });
}
