/**
 * The shim and Docker, each on a host of its own, with the same image and the same docker command.
 *
 *     host 1 ─┬─ cleat-networkd, cleat-volumed, cleat-logd        host 2 ── dockerd ── containerd ── containerd-shim
 *             └─ cleat-shim ── conmon                             host 3 ── the same with the three daemons
 *
 * Each side works with what it has: the shim with cleat's drivers, Docker with its built-in ones. In the variants that end in
 * `-plugins` Docker (of host 3) has the same drivers as the shim.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { startDaemon } from '../../test/support/daemon.ts';
import { type Engine, startEngine } from '../../test/support/engine.ts';
import { callApi } from '../../test/support/engine-api.ts';
import { createHost, type Host } from '../../test/support/host.ts';
import { startShim } from '../../test/support/shim.ts';
import { ensureImageArchive } from '../setup/images.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { interleave, median, type Samples, timeMs } from './harness/interleave.ts';
import { processesBeside, programOf, pssMb, residentMb } from './harness/process-memory.ts';

const fleet = 50;
/** Ends at SIGTERM, as a good process 1 does. */
const service = ['sh', '-c', 'trap exit TERM; sleep 86400 & wait'];

interface Side {
  readonly host: Host;
  /** Throws when the command fails. */
  docker(...args: readonly string[]): Promise<unknown>;
  /** Of the engine itself, without its containers. */
  engineProcesses(): Promise<readonly number[]>;
  /** Of the plugins that its containers need. */
  readonly daemonProcesses: readonly number[];
  stop(): Promise<unknown>;
  start(): Promise<unknown>;
  readonly socket: string;
}

interface Sides {
  readonly ours: Side;
  readonly peer: Side;
  /** Docker with our drivers. */
  readonly mixed: Side;
}

export const bench: Bench = {
  name: 'run',
  about: 'docker run, 50 containers, memory and start of the engine on cleat-shim, against Docker 28',
  rounds: 20,
  async run(context) {
    const hosts: Host[] = [];
    try {
      for (const name of ['shim', 'docker', 'mixed']) hosts.push(await createHost({ name: `bench-${name}` }));
      const sides = await openSides(hosts as [Host, Host, Host]);
      return [
        ...(await runs(sides, context)),
        ...(await idleMemory(sides)),
        ...(await manyContainers(sides, context)),
        ...(await engineStart(sides, context)),
      ];
    } finally {
      for (const host of hosts) await host.close();
    }
  },
};

async function openSides([shimHost, dockerHost, mixedHost]: readonly [Host, Host, Host]): Promise<Sides> {
  const ours = await shimSide(shimHost);
  const peer = dockerSide(await startEngine({ version: '28', host: dockerHost }));
  const daemons = await startDaemons(mixedHost);
  const mixed = { ...dockerSide(await startEngine({ version: '28', host: mixedHost })), daemonProcesses: daemons };
  for (const side of [ours, peer]) {
    await side.docker('network', 'create', 'net');
    await side.docker('volume', 'create', 'vol');
  }
  await mixed.docker('network', 'create', '-d', 'cleat-bridge', '--ipam-driver', 'cleat-ipam', 'net');
  await mixed.docker('volume', 'create', '-d', 'cleat-local', 'vol');
  return { ours, peer, mixed };
}

async function startDaemons(host: Host): Promise<number[]> {
  const pids: number[] = [];
  for (const name of ['networkd', 'volumed', 'logd'] as const)
    pids.push(await (await startDaemon(name, host, { logLevel: 'info' })).pid());
  return pids;
}

function dockerSide(engine: Engine): Side {
  return {
    host: engine.host,
    docker: (...args) => engine.dockerWith({ timeoutMs: 120_000 }, ...args),
    async engineProcesses() {
      const beside = processesBeside(await engine.pid());
      return beside.filter((pid) => ['dockerd', 'containerd'].includes(programOf(pid)));
    },
    daemonProcesses: [],
    stop: () => engine.stop(),
    start: () => engine.start(),
    socket: engine.socket,
  };
}

async function shimSide(host: Host): Promise<Side> {
  const daemonProcesses = await startDaemons(host);
  // Only its root is needed, for the same docker command.
  const engine = await startEngine({ version: '28', host, images: [] });
  await engine.stop();
  const shim = await startShim(engine, { logLevel: 'info' });
  const socket = host.path('/run/cleat/docker.sock');
  const query = `fromSrc=-&repo=busybox&tag=latest&changes=${encodeURIComponent('CMD ["sh"]')}`;
  const image = await callApi(socket, 'POST', `/images/create?${query}`, { file: ensureImageArchive('busybox') });
  if (image.status !== 200) throw new Error(`the shim imports no image: ${JSON.stringify(image.body)}`);
  return {
    host,
    async docker(...args) {
      const result = await shim.dockerWith({ timeoutMs: 120_000 }, ...args);
      if (result.code !== 0) throw new Error(`on the shim: docker ${args.join(' ')}: ${result.stderr}`);
    },
    engineProcesses: async () => [await shim.daemon.pid()],
    daemonProcesses,
    stop: () => shim.daemon.stop(),
    start: () => shim.daemon.start(),
    socket,
  };
}

const figure = (variant: string, samples: Samples, note?: string): Figure => ({
  variant,
  ours: median(samples.ours),
  peer: median(samples.peer),
  unit: 'ms',
  ...(note === undefined ? {} : { note }),
});

/** One container from the command to its removal. */
async function runs({ ours, peer, mixed }: Sides, { rounds, say }: BenchContext): Promise<Figure[]> {
  const variants: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['true', [], []],
    ['network', ['--network', 'net'], ['--network', 'net']],
    ['volume', ['-v', 'vol:/d'], ['-v', 'vol:/d']],
    ['log', ['--log-driver', 'cleat-json-file'], ['--log-driver', 'json-file']],
  ];
  const timed = (side: Side, options: readonly string[]) => (): Promise<number> =>
    timeMs(() => side.docker('run', '--rm', ...options, 'busybox', 'true'));
  const figures: Figure[] = [];
  for (const [variant, options, peerOptions] of variants) {
    say(`docker run --rm ${options.join(' ')} busybox true`);
    const samples = await interleave(rounds, { ours: timed(ours, options), peer: timed(peer, peerOptions) });
    figures.push(figure(variant, samples));
  }
  for (const [variant, options] of variants.slice(1)) {
    say(`the same with Docker on our drivers: ${options.join(' ')}`);
    const samples = await interleave(rounds, { ours: timed(ours, options), peer: timed(mixed, options) });
    figures.push(figure(`${variant}-plugins`, samples, 'Docker with the same drivers'));
  }
  return figures;
}

/** After all that work, with no container left. */
async function idleMemory({ ours, peer }: Sides): Promise<Figure[]> {
  const [shim, docker] = [pssMb(await ours.engineProcesses()), pssMb(await peer.engineProcesses())];
  return [
    { variant: 'memory', ours: shim, peer: docker, unit: 'MB', note: 'PSS of cleat-shim; of dockerd and containerd' },
    {
      variant: 'memory-daemons',
      ours: shim + pssMb(ours.daemonProcesses),
      peer: docker,
      unit: 'MB',
      note: 'with the three plugin daemons, each a process',
    },
  ];
}

/** `docker start` and `docker stop` of many at once, and what they cost in memory while they run. */
async function manyContainers(sides: Sides, { rounds, say }: BenchContext): Promise<Figure[]> {
  const names = Array.from({ length: fleet }, (_, number) => `many-${number}`);
  const stops = { ours: [] as number[], peer: [] as number[] };
  const memory = { ours: [] as number[], peer: [] as number[] };
  const monitors = { ours: [] as number[], peer: [] as number[] };
  const held = async (side: Side): Promise<number[]> => [...(await side.engineProcesses()), ...side.daemonProcesses];
  const cycle = async (which: 'ours' | 'peer', round: number): Promise<number> => {
    const side = sides[which];
    say(`${fleet} containers on ${which === 'ours' ? 'the shim' : 'Docker'}`);
    for (const name of names) await side.docker('create', '--name', name, '--network', 'net', 'busybox', ...service);
    const before = new Set(processesBeside(side.host.pid));
    const ground = pssMb(await held(side));
    const took = await timeMs(() => side.docker('start', ...names));
    const added = processesBeside(side.host.pid).filter((pid) => !before.has(pid));
    const each = (pssMb([...(await held(side)), ...added]) - ground) / fleet;
    const largest = Math.max(...added.map(residentMb));
    const stopped = await timeMs(() => side.docker('stop', ...names));
    await side.docker('rm', '-f', '-v', ...names);
    if (round < 0) return took;
    stops[which].push(stopped);
    memory[which].push(each);
    monitors[which].push(largest);
    return took;
  };
  const samples = await interleave(Math.max(1, Math.ceil(rounds / 10)), {
    ours: (round) => cycle('ours', round),
    peer: (round) => cycle('peer', round),
  });
  return [
    figure(`start-${fleet}`, samples),
    figure(`stop-${fleet}`, stops),
    {
      ...figure(
        'memory-container',
        memory,
        'PSS of what is new on the host and of what the engine and its daemons grew',
      ),
      unit: 'MB',
    },
    {
      ...figure('memory-monitor', monitors, 'RSS of the largest process that stands by one container'),
      unit: 'MB',
    },
  ];
}

/** From the command that starts the engine to its first answer; nothing runs, everything is known. */
async function engineStart({ ours, peer }: Sides, { rounds, say }: BenchContext): Promise<Figure[]> {
  say('start of the engine');
  const timed = (side: Side) => async (): Promise<number> => {
    await side.stop();
    const begin = performance.now();
    const started = side.start();
    while (!(await answers(side.socket))) await delay(2);
    const took = performance.now() - begin;
    await started;
    return took;
  };
  return [figure('ready', await interleave(Math.ceil(rounds / 2), { ours: timed(ours), peer: timed(peer) }))];
}

async function answers(socket: string): Promise<boolean> {
  try {
    return (await callApi(socket, 'GET', '/_ping')).status === 200;
  } catch {
    return false;
  }
}
