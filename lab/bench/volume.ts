/** Volumes beside the built-in local driver in the same engine: whole commands, lists, and files inside a limited volume. */
import { startDaemon } from '../../test/support/daemon.ts';
import { type Engine, startEngine } from '../../test/support/engine.ts';
import { createHost } from '../../test/support/host.ts';
import { volumeClient } from '../../test/support/volume-client.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { interleave, median, timeMs } from './harness/interleave.ts';

const drivers = { ours: 'cleat-local', peer: 'local' } as const;
type Side = keyof typeof drivers;

const listed = 1000;

export const bench: Bench = {
  name: 'volume',
  about: 'create, docker run, list and file throughput, against the built-in local driver of the same engine',
  rounds: 15,
  async run(context) {
    const host = await createHost({ name: 'bench-volume' });
    try {
      const volumed = await startDaemon('volumed', host, { logLevel: 'info' });
      const engine = await startEngine({ version: '28', host });
      const client = volumeClient(volumed.socket('cleat-local'));
      const nfs = volumeClient(volumed.socket('cleat-nfs'));
      return [
        ...(await lifecycle(engine, context)),
        ...(await ownPart(client, context)),
        ...(await files(engine, context)),
        ...(await lists(engine, nfs, context)),
      ];
    } finally {
      await host.close();
    }
  },
};

async function call(
  engine: Engine,
  method: string,
  path: string,
  body?: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  const reply = await engine.api(method, path, body);
  if (reply.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(reply.body)}`);
  return reply.body;
}

const createVolume = (
  engine: Engine,
  name: string,
  driver: string,
  options: Readonly<Record<string, string>> = {},
): Promise<unknown> => call(engine, 'POST', '/volumes/create', { Name: name, Driver: driver, DriverOpts: options });

function figure(
  variant: string,
  samples: { readonly ours: readonly number[]; readonly peer: readonly number[] },
  note?: string,
): Figure {
  return {
    variant,
    ours: median(samples.ours),
    peer: median(samples.peer),
    unit: 'ms',
    ...(note === undefined ? {} : { note }),
  };
}

async function lifecycle(engine: Engine, { rounds, say }: BenchContext): Promise<Figure[]> {
  say('create and remove');
  const removes = { ours: [] as number[], peer: [] as number[] };
  const create = async (side: Side, round: number): Promise<number> => {
    const name = `cycle-${side}-${round + 1}`;
    const took = await timeMs(() => createVolume(engine, name, drivers[side]));
    const gone = await timeMs(() => call(engine, 'DELETE', `/volumes/${name}`));
    if (round >= 0) removes[side].push(gone);
    return took;
  };
  const creates = await interleave(rounds * 4, {
    ours: (round) => create('ours', round),
    peer: (round) => create('peer', round),
  });

  say('docker run');
  for (const side of ['ours', 'peer'] as const) await createVolume(engine, `run-${side}`, drivers[side]);
  await createVolume(engine, 'run-limited', drivers.ours, { size: '64m' });
  const run = (name: string) => (): Promise<number> =>
    timeMs(() => engine.docker('run', '--rm', '--network', 'none', '-v', `${name}:/d`, 'busybox', 'true'));
  const runs = await interleave(rounds, { ours: run('run-ours'), peer: run('run-peer') });
  const limited = await interleave(rounds, { ours: run('run-limited'), peer: run('run-peer') });
  return [
    figure('create', creates),
    figure('remove', removes),
    figure('run', runs),
    figure('run-limited', limited, 'ours has a size limit, the peer none'),
  ];
}

/** What is ours alone of a mount, without the engine. */
async function ownPart(client: ReturnType<typeof volumeClient>, { rounds, say }: BenchContext): Promise<Figure[]> {
  say('the calls of one mount and unmount');
  await client.create('own');
  await client.create('own-limited', { size: '64m' });
  const figures: Figure[] = [];
  for (const name of ['own', 'own-limited']) {
    const mounts: number[] = [];
    const unmounts: number[] = [];
    for (let round = -3; round < rounds * 4; round++) {
      const mount = await timeMs(() => client.mount(name, `bench-${round}`));
      const unmount = await timeMs(() => client.unmount(name, `bench-${round}`));
      if (round < 0) continue;
      mounts.push(mount);
      unmounts.push(unmount);
    }
    const note = 'one plugin call; no peer has it';
    figures.push(
      { variant: `${name}-mount`, ours: median(mounts), peer: undefined, unit: 'ms', note },
      { variant: `${name}-unmount`, ours: median(unmounts), peer: undefined, unit: 'ms', note },
    );
  }
  return figures;
}

/** A volume with a size limit beside one without, both ours, in one container. */
async function files(engine: Engine, { rounds, say }: BenchContext): Promise<Figure[]> {
  say('files in a limited volume and in a plain one');
  await createVolume(engine, 'files-limited', drivers.ours, { size: '1g' });
  await createVolume(engine, 'files-plain', drivers.ours);
  const mounts = ['-v', 'files-limited:/ours', '-v', 'files-plain:/peer'];
  await engine.docker('run', '-d', '--network', 'none', '--name', 'files', ...mounts, 'busybox', 'sleep', '86400');
  const inside = (script: string) => (): Promise<number> =>
    timeMs(() => engine.docker('exec', 'files', 'sh', '-c', script));
  const megabytes = 256;
  const write = (side: Side): (() => Promise<number>) => {
    const timed = inside(
      `dd if=/dev/zero of=/${side}/big bs=1M count=${megabytes} conv=fsync 2>/dev/null; rm /${side}/big`,
    );
    return async () => (megabytes * 1000) / (await timed());
  };
  const read = async (side: Side): Promise<number> => {
    const timed = inside(`cat /${side}/kept >/dev/null`);
    await engine.host.sh('echo 3 >/proc/sys/vm/drop_caches');
    return (megabytes * 1000) / (await timed());
  };
  const many = (side: Side): (() => Promise<number>) =>
    inside(
      `mkdir /${side}/m; cd /${side}/m; i=0; while [ $i -lt 1000 ]; do echo $i >f$i; i=$((i+1)); done; sync; rm -r /${side}/m`,
    );
  for (const side of ['ours', 'peer'] as const)
    await inside(`dd if=/dev/urandom of=/${side}/kept bs=1M count=${megabytes} 2>/dev/null; sync`)();
  const few = Math.max(3, Math.ceil(rounds / 3));
  const writes = await interleave(few, { ours: write('ours'), peer: write('peer') });
  const reads = await interleave(few, { ours: () => read('ours'), peer: () => read('peer') });
  const creates = await interleave(few, { ours: many('ours'), peer: many('peer') });
  const rate = { unit: 'MB/s', rate: true, note: 'limited against plain' } as const;
  return [
    { variant: 'limited-write', ours: median(writes.ours), peer: median(writes.peer), ...rate },
    { variant: 'limited-read', ours: median(reads.ours), peer: median(reads.peer), ...rate },
    figure('limited-1000-files', creates, 'limited against plain'),
  ];
}

async function lists(
  engine: Engine,
  nfs: ReturnType<typeof volumeClient>,
  { rounds, say }: BenchContext,
): Promise<Figure[]> {
  const list = (driver: string): Promise<number> => {
    const filters = encodeURIComponent(JSON.stringify({ driver: [driver] }));
    return timeMs(() => call(engine, 'GET', `/volumes?filters=${filters}`));
  };
  say('a dead NFS server');
  await createVolume(engine, 'dead', 'cleat-nfs', { server: '192.0.2.1', export: '/x', 'mount-timeout': '110s' });
  const hanging = nfs.call('Mount', { Name: 'dead', ID: 'bench' }).catch(() => {});
  const dead = await interleave(rounds, { ours: () => list('cleat-nfs'), peer: () => list('local') });
  say(`${listed} volumes of each driver`);
  for (const side of ['ours', 'peer'] as const) {
    for (let number = 0; number < listed; number++) await createVolume(engine, `list-${side}-${number}`, drivers[side]);
  }
  const many = await interleave(rounds, { ours: () => list(drivers.ours), peer: () => list(drivers.peer) });
  void hanging;
  return [
    figure('list-dead-nfs', dead, 'while a mount of ours waits for the server; the peer lists healthy volumes'),
    figure(`list-${listed}`, many),
  ];
}
