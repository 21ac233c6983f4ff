/** Bulk TCP, container to container and from another host through a published port, beside the built-in bridge. */

import { eventually } from '../../test/support/deadline.ts';
import { createHost, type Host } from '../../test/support/host.ts';
import { createSegment } from '../../test/support/segment.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { interleave, median } from './harness/interleave.ts';
import { createContainer, networks, onStage, type Stage, startContainer } from './harness/stage.ts';

type Who = keyof typeof networks;
const seconds = 2;
const published: Readonly<Record<Who, number>> = { ours: 5301, peer: 5302 };

export const bench: Bench = {
  name: 'throughput',
  about: 'iperf3 between two containers, and from another host through a published port, against the built-in bridge',
  rounds: 7,
  run: (context) => onStage({ images: ['busybox', 'tools'] }, (stage) => measure(stage, context)),
};

async function measure(stage: Stage, context: BenchContext): Promise<Figure[]> {
  const segment = await createSegment();
  const outside = await createHost({ name: 'outside' });
  try {
    await segment.attach(stage.host, { addresses: ['192.0.2.1/24'] });
    await segment.attach(outside, { addresses: ['192.0.2.2/24'] });
    for (const who of ['ours', 'peer'] as const) await servers(stage, who);
    context.say('container to container');
    const inside = await interleave(context.rounds, {
      ours: () => betweenContainers(stage, 'ours'),
      peer: () => betweenContainers(stage, 'peer'),
    });
    context.say('from another host through a published port');
    const through = await interleave(context.rounds, {
      ours: () => fromOutside(outside, 'ours'),
      peer: () => fromOutside(outside, 'peer'),
    });
    const unit = 'Gbit/s';
    return [
      { variant: 'container', ours: median(inside.ours), peer: median(inside.peer), unit, rate: true },
      { variant: 'published', ours: median(through.ours), peer: median(through.peer), unit, rate: true },
    ];
  } finally {
    await Promise.all([outside.close(), segment.close()]);
  }
}

async function servers(stage: Stage, who: Who): Promise<void> {
  const common = { image: 'tools', networks: [networks[who]] };
  const server = await createContainer(stage.engine, `server-${who}`, {
    ...common,
    command: ['iperf3', '-s'],
    ports: { '5201/tcp': [published[who]] },
  });
  await startContainer(stage.engine, server);
  const client = await createContainer(stage.engine, `client-${who}`, { ...common, command: ['sleep', '86400'] });
  await startContainer(stage.engine, client);
  await eventually('iperf3 listens', () => betweenContainers(stage, who));
}

async function betweenContainers(stage: Stage, who: Who): Promise<number> {
  return gigabits(
    await stage.engine.docker('exec', `client-${who}`, 'iperf3', '-J', '-t', `${seconds}`, '-c', `server-${who}`),
  );
}

async function fromOutside(outside: Host, who: Who): Promise<number> {
  const { stdout } = await outside.run('iperf3', [
    '-J',
    '-t',
    `${seconds}`,
    '-c',
    '192.0.2.1',
    '-p',
    `${published[who]}`,
  ]);
  return gigabits(stdout);
}

function gigabits(json: string): number {
  const result = JSON.parse(json) as { end: { sum_received: { bits_per_second: number } } };
  return result.end.sum_received.bits_per_second / 1e9;
}
