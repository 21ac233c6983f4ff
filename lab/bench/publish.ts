/**
 * Publishing ports. What a container's ports cost is its start with them minus a start without, both by the Engine API; at the
 * plugin's socket it is what one call takes. The 10 000-port range gets one attempt each.
 */
import type { connect } from 'node:net';
import { type Engine, startEngine } from '../../test/support/engine.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { interleave, median, timeMs } from './harness/interleave.ts';
import { openBareNetwork, tcpPort } from './harness/plugin-calls.ts';
import { createContainer, networks, onStage, removeContainer, type Stage, startContainer } from './harness/stage.ts';

type Who = keyof typeof networks;
const whole = ['ours', 'peer'] as const;
/** The built-in driver needs minutes for the range; it is given this long, then counted as having taken it. */
const rangeLimitMs = 90_000;
/** Differences of two starts below this are noise. */
const floorMs = 1;

export const bench: Bench = {
  name: 'publish',
  about:
    'the first and the 1 000th port, 200 ports of a container, a range of 10 000, new connections, against the built-in driver of 28',
  rounds: 9,
  async run(context) {
    const single = await onStage({}, async (stage) => {
      const figures: Figure[] = [];
      figures.push(...(await atThePlugin(stage, context)));
      context.say('one port, none there yet');
      figures.push(await cost(stage, 'first-port', context.rounds, 1));
      context.say('a container with 200 ports');
      figures.push(await cost(stage, '200-ports', Math.ceil(context.rounds / 2), 200));
      context.say('one port, 999 there');
      for (const who of whole) await hold(stage, who, 999);
      figures.push(await cost(stage, '1000th-port', context.rounds, 1));
      return figures;
    });
    return [...single, ...(await rangeAndConnections(context))];
  },
};

let serial = 0;

/** What so many ports add to the start of a container: each round starts one without and one with them. */
async function cost(stage: Stage, variant: string, rounds: number, ports: number): Promise<Figure> {
  const once = async (who: Who): Promise<number> => {
    const without = await start(stage, who, 0);
    return (await start(stage, who, ports)) - without;
  };
  const samples = await interleave(rounds, { ours: () => once('ours'), peer: () => once('peer') });
  const [ours, peer] = [median(samples.ours), median(samples.peer)].map((value) => Math.max(value, floorMs)) as [
    number,
    number,
  ];
  const note = `start with minus start without ports${ours === floorMs || peer === floorMs ? '; less than the noise counts as 1 ms' : ''}`;
  return { variant, ours, peer, unit: 'ms', note };
}

async function start(stage: Stage, who: Who, ports: number): Promise<number> {
  serial += 1;
  const spec = { command: ['sleep', '86400'], networks: [networks[who]], ports: portMap(who, 30_000, ports) };
  const id = await createContainer(stage.engine, `start${serial}`, spec);
  const ms = await timeMs(() => startContainer(stage.engine, id));
  await removeContainer(stage.engine, id);
  return ms;
}

/** A container that keeps so many ports. */
async function hold(stage: Stage, who: Who, ports: number): Promise<void> {
  const spec = { command: ['sleep', '86400'], networks: [networks[who]], ports: portMap(who, 2000, ports) };
  await startContainer(stage.engine, await createContainer(stage.engine, `hold-${who}`, spec));
}

/**
 * The two networks publish on different host ports, as both run at the same time; all below 32768, from where on the host's own
 * connections and servers take theirs.
 */
function portMap(who: Who, first: number, count: number): Record<string, number[]> {
  const offset = who === 'ours' ? 0 : 1000;
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`${1000 + index}/tcp`, [first + offset + index]]),
  );
}

/** Our own part: one more port when there are none and when there are 10 000. */
async function atThePlugin(stage: Stage, context: BenchContext): Promise<Figure[]> {
  const network = await openBareNetwork(stage.networkd, 201);
  const timed = async (ports: readonly number[]): Promise<number> => {
    const begin = performance.now();
    const endpoint = await network.attach(ports.map((port) => tcpPort(port)));
    const ms = performance.now() - begin;
    await network.detach(endpoint);
    return ms;
  };
  const onePort = async (): Promise<number> => {
    const differences: number[] = [];
    for (let round = -5; round < context.rounds * 5; round += 1) {
      const without = await timed([]);
      const difference = (await timed([9999])) - without;
      if (round >= 0) differences.push(difference);
    }
    return Math.max(median(differences), 0.001);
  };
  const atNone = await onePort();
  const many: string[] = [];
  // Every second port, so that no two of them join into a range.
  for (let part = 0; part < 10; part += 1) {
    const ports = Array.from({ length: 1000 }, (_, index) => tcpPort(10_000 + part * 2000 + index * 2, 80));
    many.push(await network.attach(ports));
  }
  const atMany = await onePort();
  for (const endpoint of many) await network.detach(endpoint);
  await network.close();
  const note = 'attach with one port minus attach without, at the plugin; no peer has it';
  return [
    { variant: 'own-part-at-0', ours: atNone, peer: undefined, unit: 'ms', note },
    { variant: 'own-part-at-10000', ours: atMany, peer: undefined, unit: 'ms', note },
  ];
}

/**
 * `-p 10000-19999:10000-19999`, one attempt each, the built-in driver on an engine of its own, which is ended with it. Then
 * connections to another port beside that range, against a host that publishes no other.
 */
function rangeAndConnections(context: BenchContext): Promise<Figure[]> {
  return onStage({ images: ['busybox', 'tools'] }, async (stage) => {
    context.say('a range of 10 000 ports, ours');
    const ours = await rangeStart(stage.engine, networks.ours);
    context.say(`a range of 10 000 ports, built-in (at most ${rangeLimitMs / 1000} s)`);
    const peer = await builtInRange();
    const stopped = 'the peer was stopped at this time: the ratio is an upper bound';
    const note = peer === rangeLimitMs ? stopped : 'whole start; peer without userland proxy';
    return [{ variant: 'range-10000', ours, peer, unit: 'ms', note }, await connections(stage, context)];
  });
}

async function builtInRange(): Promise<number> {
  const engine = await startEngine({ version: '28', config: { 'userland-proxy': false } });
  let timer: NodeJS.Timeout | undefined;
  try {
    await engine.docker('network', 'create', '-d', 'bridge', networks.peer);
    const attempt = rangeStart(engine, networks.peer);
    // When it is stopped at the limit, its failure is of no interest.
    attempt.catch(() => {});
    const limit = new Promise<number>((resolve) => {
      timer = setTimeout(resolve, rangeLimitMs, rangeLimitMs);
    });
    return await Promise.race([attempt, limit]);
  } finally {
    clearTimeout(timer);
    await engine.close();
  }
}

async function rangeStart(engine: Engine, network: string): Promise<number> {
  const ports = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, index) => [`${10_000 + index}/tcp`, [10_000 + index]]),
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

/** Takes connections and closes them, with a backlog that never fills. */
const acceptor = `import socket
server = socket.create_server(('', 80), backlog=4096)
while True: server.accept()[0].close()`;

/** Connections a second to a published port, from the host, with 10 000 other ports published, against one with none. */
function connections(stage: Stage, context: BenchContext): Promise<Figure> {
  context.say('new connections to a published port');
  return onStage({ images: ['busybox', 'tools'] }, async (fresh) => {
    const serve = { image: 'tools', command: ['python3', '-c', acceptor], networks: [networks.ours] };
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
      variant: 'connect-with-10000',
      ours: median(samples.ours),
      peer: median(samples.peer),
      unit: 'connections/s',
      rate: true,
      note: 'the peer is ourselves without the other ports',
    };
  });
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
