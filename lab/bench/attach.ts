/** Attaching containers: the whole `docker run`, connect and disconnect beside the built-in driver, and our own part. */
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { interleave, median, timeMs } from './harness/interleave.ts';
import { openBareNetwork } from './harness/plugin-calls.ts';
import { call, createContainer, networks, onStage, type Stage, startContainer } from './harness/stage.ts';

/** Endpoints on each of the two networks while it is measured, the measured one included. */
const sizes = [1, 50, 200] as const;

export const bench: Bench = {
  name: 'attach',
  about: 'docker run, connect and disconnect at 1, 50 and 200 endpoints, against the built-in bridge; and our own part',
  rounds: 15,
  run: (context) =>
    onStage({}, async (stage) => {
      const idle = await createContainer(stage.engine, 'idle', { command: ['sleep', '86400'], networks: ['bridge'] });
      await startContainer(stage.engine, idle);
      const figures: Figure[] = [];
      let present = 0;
      for (const size of sizes) {
        context.say(`${size} endpoints on each network`);
        for (; present < size - 1; present += 1) await fill(stage, present);
        figures.push(...(await measure(stage, context, size, idle)));
      }
      return figures;
    }),
};

/** One more endpoint on both networks. */
async function fill(stage: Stage, number: number): Promise<void> {
  const spec = { command: ['sleep', '86400'], networks: [networks.ours, networks.peer] };
  await startContainer(stage.engine, await createContainer(stage.engine, `fill${number}`, spec));
}

async function measure(stage: Stage, context: BenchContext, size: number, idle: string): Promise<Figure[]> {
  const { engine } = stage;
  const runOn = (network: string) =>
    timeMs(() => engine.docker('run', '--rm', '--network', network, 'busybox', 'true'));
  const runs = await interleave(context.rounds, { ours: () => runOn(networks.ours), peer: () => runOn(networks.peer) });

  const disconnects: { ours: number[]; peer: number[] } = { ours: [], peer: [] };
  const connectTo = async (who: 'ours' | 'peer', round: number): Promise<number> => {
    const path = `/networks/${networks[who]}`;
    const connect = await timeMs(() => call(engine, 'POST', `${path}/connect`, { Container: idle }));
    const disconnect = await timeMs(() => call(engine, 'POST', `${path}/disconnect`, { Container: idle }));
    if (round >= 0) disconnects[who].push(disconnect);
    return connect;
  };
  const connects = await interleave(context.rounds * 2, {
    ours: (round) => connectTo('ours', round),
    peer: (round) => connectTo('peer', round),
  });

  const own: number[] = [];
  const bare = await openBareNetwork(stage.networkd, 200);
  for (let round = -5; round < context.rounds * 4; round += 1) {
    const begin = performance.now();
    const endpoint = await bare.attach();
    if (round >= 0) own.push(performance.now() - begin);
    await bare.detach(endpoint);
  }
  await bare.close();
  return [
    { variant: `run-${size}`, ours: median(runs.ours), peer: median(runs.peer), unit: 'ms' },
    { variant: `connect-${size}`, ours: median(connects.ours), peer: median(connects.peer), unit: 'ms' },
    { variant: `disconnect-${size}`, ours: median(disconnects.ours), peer: median(disconnects.peer), unit: 'ms' },
    {
      variant: `own-part-${size}`,
      ours: median(own),
      peer: undefined,
      unit: 'ms',
      note: 'three plugin calls of one attach; no peer has them',
    },
  ];
}
