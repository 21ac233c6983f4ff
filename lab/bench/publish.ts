/**
 * Publishing ports. What a container's ports cost is its start with them minus a start without, both by the Engine API; at the
 * plugin's socket it is what one call takes. The 10 000-port range gets one attempt each.
 */
import type { connect } from 'node:net';
import { type Engine, startEngine } from '../../test/support/engine.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { interleave, median, timeMs } from './harness/interleave.ts';
import { openBareNetwork, tcpPort } from './harness/plugin-calls.ts';
import { createContainer, networks, openStage, removeContainer, type Stage, startContainer } from './harness/stage.ts';

type Who = keyof typeof networks;
const whole = ['ours', 'peer'] as const;
/** The built-in driver needs minutes for the range; it is given this long, then counted as having taken it. */
const rangeLimitMs = 180_000;

export const bench: Bench = {
  name: 'publish',
  about:
    'the first and the 1 000th port, 200 ports of a container, a range of 10 000, new connections, against the built-in driver of 28',
  rounds: 9,
  async run(context) {
    const stage = await openStage();
    try {
      const figures = [...(await atThePlugin(stage, context))];
      const bare = await starts(stage, context.rounds, 0);
      context.say('one port, none there yet');
      figures.push(cost('first-port', await starts(stage, context.rounds, 1), bare));
      context.say('a container with 200 ports');
      figures.push(cost('200-ports', await starts(stage, Math.ceil(context.rounds / 2), 200), bare));
      context.say('one port, 999 there');
      for (const who of whole) await hold(stage, who, 999);
      figures.push(cost('1000th-port', await starts(stage, context.rounds, 1), bare));
      figures.push(await range(stage, context));
      figures.push(await connections(stage, context));
      return figures;
    } finally {
      await stage.close();
    }
  },
};

let serial = 0;

/** Times of starting a container with so many published ports, on each network in turn. */
async function starts(stage: Stage, rounds: number, ports: number) {
  const once = async (who: Who): Promise<number> => {
    serial += 1;
    const spec = { command: ['sleep', '86400'], networks: [networks[who]], ports: portMap(who, 40_000, ports) };
    const id = await createContainer(stage.engine, `start${serial}`, spec);
    const ms = await timeMs(() => startContainer(stage.engine, id));
    await removeContainer(stage.engine, id);
    return ms;
  };
  const samples = await interleave(rounds, { ours: () => once('ours'), peer: () => once('peer') });
  return { ours: median(samples.ours), peer: median(samples.peer) };
}

/** A container that keeps so many ports. */
async function hold(stage: Stage, who: Who, ports: number): Promise<void> {
  const spec = { command: ['sleep', '86400'], networks: [networks[who]], ports: portMap(who, 20_000, ports) };
  await startContainer(stage.engine, await createContainer(stage.engine, `hold-${who}`, spec));
}

/** The two networks publish on different host ports, as both run at the same time. */
function portMap(who: Who, first: number, count: number): Record<string, number[]> {
  const offset = who === 'ours' ? 0 : 10_000;
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`${1000 + index}/tcp`, [first + offset + index]]),
  );
}

function cost(variant: string, withPorts: Record<Who, number>, bare: Record<Who, number>): Figure {
  const over = (who: Who): number => Math.max(withPorts[who] - bare[who], 0.1);
  const note = `start with minus start without ports (${bare.ours.toFixed(0)} and ${bare.peer.toFixed(0)} ms)`;
  return { variant, ours: over('ours'), peer: over('peer'), unit: 'ms', note };
}

/** Our own part: one more port when there are none and when there are 10 000. */
async function atThePlugin(stage: Stage, context: BenchContext): Promise<Figure[]> {
  const network = await openBareNetwork(stage.networkd, 201);
  const oneMore = async (bindings: readonly number[]): Promise<number> => {
    const times: number[] = [];
    for (let round = -5; round < context.rounds * 4; round += 1) {
      const begin = performance.now();
      const endpoint = await network.attach(bindings.map((port) => tcpPort(port)));
      if (round >= 0) times.push(performance.now() - begin);
      await network.detach(endpoint);
    }
    return median(times);
  };
  const none = await oneMore([]);
  const first = await oneMore([60_001]);
  const many: string[] = [];
  // Every second port, so that no two of them join into a range.
  for (let part = 0; part < 10; part += 1) {
    const ports = Array.from({ length: 1000 }, (_, index) => tcpPort(10_000 + part * 2000 + index * 2, 80));
    many.push(await network.attach(ports));
  }
  const later = await oneMore([60_001]);
  const laterNone = await oneMore([]);
  for (const endpoint of many) await network.detach(endpoint);
  await network.close();
  const note = 'attach with one port minus attach without, at the plugin; no peer has it';
  return [
    { variant: 'own-part-at-0', ours: Math.max(first - none, 0.001), peer: undefined, unit: 'ms', note },
    { variant: 'own-part-at-10000', ours: Math.max(later - laterNone, 0.001), peer: undefined, unit: 'ms', note },
  ];
}

/** `-p 20000-29999:20000-29999`, once each; the built-in driver on an engine of its own, which is ended with it. */
async function range(stage: Stage, context: BenchContext): Promise<Figure> {
  context.say('a range of 10 000 ports, ours');
  const ours = await rangeStart(stage.engine, networks.ours, 30_000);
  context.say(`a range of 10 000 ports, built-in (at most ${rangeLimitMs / 1000} s)`);
  const engine = await startEngine({ version: '28', config: { 'userland-proxy': false } });
  try {
    await engine.docker('network', 'create', '-d', 'bridge', networks.peer);
    const attempt = rangeStart(engine, networks.peer, 30_000);
    // When it is stopped at the limit, its failure is of no interest.
    attempt.catch(() => {});
    const peer = await Promise.race([
      attempt,
      new Promise<number>((resolve) => setTimeout(resolve, rangeLimitMs, rangeLimitMs)),
    ]);
    const note =
      peer === rangeLimitMs
        ? 'the peer was stopped at this time: the ratio is an upper bound'
        : 'whole start; peer without userland proxy';
    return { variant: 'range-10000', ours, peer, unit: 'ms', note };
  } finally {
    await engine.close();
  }
}

async function rangeStart(engine: Engine, network: string, first: number): Promise<number> {
  const ports = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, index) => [`${first + index}/tcp`, [first + index]]),
  );
  const id = await createContainer(engine, `range-${network}`, {
    command: ['sleep', '86400'],
    networks: [network],
    ports,
  });
  return timeMs(async () => {
    // No deadline of ours: the range above has one.
    await engine.dockerWith({ timeoutMs: 15 * 60_000 }, 'start', id);
  });
}

/** Connections a second to a published port, from the host, with 11 000 ports published against a network with one. */
async function connections(stage: Stage, context: BenchContext): Promise<Figure> {
  context.say('new connections to a published port');
  const fresh = await openStage();
  try {
    const serve = { command: ['httpd', '-f'], networks: [networks.ours] };
    for (const { engine } of [stage, fresh]) {
      await startContainer(engine, await createContainer(engine, 'web', { ...serve, ports: { '80/tcp': [8080] } }));
    }
    const perSecond = async (at: Stage): Promise<number> => {
      const script = `${connectLoop.toString()}; connectLoop(require('node:net').connect, 8080, 500).then((ms) => console.log(ms))`;
      const { stdout } = await at.host.run(process.execPath, ['-e', script]);
      return 500_000 / Number(stdout);
    };
    const samples = await interleave(context.rounds, { ours: () => perSecond(stage), peer: () => perSecond(fresh) });
    return {
      variant: 'connect-with-11000',
      ours: median(samples.ours),
      peer: median(samples.peer),
      unit: 'connections/s',
      rate: true,
      note: 'the peer is ourselves with a single port',
    };
  } finally {
    await fresh.close();
  }
}

/** Milliseconds for so many connections, one after the other. Also sent as text to a process in the host. */
async function connectLoop(open: typeof connect, port: number, count: number): Promise<number> {
  const begin = performance.now();
  for (let index = 0; index < count; index += 1) {
    await new Promise<void>((resolve, reject) => {
      const socket = open(port, '127.0.0.1', () => {
        socket.destroy();
        resolve();
      });
      socket.once('error', reject);
    });
  }
  return performance.now() - begin;
}
