/**
 * Logs: lines a second and processor time against the built-in json-file driver and against plugins that throw every line away,
 * the pipeline alone, memory, reading back from 2 GB, stopping while the server is down.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LogFrameBatch } from '../../plugins/sdk/index.ts';
import { type Daemon, startDaemon } from '../../test/support/daemon.ts';
import { eventually } from '../../test/support/deadline.ts';
import { type Engine, startEngine } from '../../test/support/engine.ts';
import { createHost, type Host } from '../../test/support/host.ts';
import { logInfo, openLogSession } from '../../test/support/log-session.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { interleave, median, timeMs } from './harness/interleave.ts';
import { type LogWriters, startLogWriters } from './harness/log-writers.ts';

const node = fileURLToPath(new URL('../../bin/node', import.meta.url));
const discardPlugin = fileURLToPath(new URL('./harness/log-discard.ts', import.meta.url));

export const bench: Bench = {
  name: 'logs',
  about:
    'lines a second, CPU, memory and reading of the log drivers; peers are json-file and plugins that throw every line away',
  rounds: 5,
  async run(context) {
    const host = await createHost({ name: 'benchlogs' });
    try {
      const logd = await startDaemon('logd', host, {
        config: { engines: [], 'max-total-size': '50g' },
        logLevel: 'info',
      });
      const discard = host.start(node, [discardPlugin, 'own', '/run/docker/plugins/discard.sock']);
      const cat = host.start(node, [discardPlugin, 'cat', '/run/docker/plugins/cat.sock']);
      for (const plugin of [discard, cat])
        await eventually('the discarding plugin listens', () => plugin.output().includes('ready'));
      const engine = await startEngine({ version: '28', host });
      const dockerd = await engine.pid();
      const takers: Takers = {
        ours: { driver: 'cleat-json-file', files: true, pids: [dockerd, await logd.pid()] },
        builtin: { driver: 'json-file', files: true, pids: [dockerd] },
        discard: { driver: 'discard', files: false, pids: [dockerd, await discard.pid()] },
        cat: { driver: 'cat', files: false, pids: [dockerd] },
      };
      return [
        ...(await pipeline(context, logd)),
        ...(await memory(context, host)),
        ...(await containers(context, engine, takers)),
        ...(await stopping(context, engine)),
        ...(await reading(context, host, logd, engine)),
      ];
    } finally {
      await host.close();
    }
  },
};

/** Frames of one size in a file, for `dd`, which writes one frame a call as an engine does. */
function frameFile(
  host: Host,
  lineBytes: number,
): { readonly path: string; readonly frameBytes: number; readonly frames: number } {
  const batch = new LogFrameBatch();
  const line = Buffer.alloc(lineBytes, 'abcdefghij');
  batch.write('stdout', Number(1_795_000_000_000_000_000n >> 32n), 7, line, 0, lineBytes, false);
  const frame = batch.take();
  const frames = Math.floor((160 << 20) / frame.length);
  const path = join(host.dir, `frames-${lineBytes}`);
  const many = Buffer.alloc(frame.length * 1000);
  for (let index = 0; index < 1000; index++) frame.copy(many, index * frame.length);
  const fd = openSync(path, 'w');
  for (let index = 0; index < frames; index += 1000) writeSync(fd, many);
  closeSync(fd);
  return { path, frameBytes: frame.length, frames: Math.ceil(frames / 1000) * 1000 };
}

async function pipeline({ rounds, say }: BenchContext, logd: Daemon): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const lineBytes of [100, 1024]) {
    say(`the pipeline alone, lines of ${lineBytes} bytes`);
    const { path, frameBytes, frames } = frameFile(logd.host, lineBytes);
    for (const driver of ['cleat-json-file', 'cleat-gelf'] as const) {
      const rates: number[] = [];
      const cpu: number[] = [];
      for (let round = -1; round < rounds; round++) {
        const config =
          driver === 'cleat-gelf'
            ? { 'gelf-address': 'tcp://127.0.0.1:9', 'max-size': '100m' }
            : { 'max-size': '100m' };
        const session = openLogSession(logd, driver, logInfo(config));
        await session.start();
        const pid = await logd.pid();
        const before = cpuMs(pid);
        const took = await timeMs(async () => {
          await logd.host.run(
            'dd',
            [
              `if=${path}`,
              `of=${session.file}`,
              'ibs=1M',
              `obs=${frameBytes}`,
              'status=none',
              'conv=notrunc',
              'iflag=fullblock',
            ],
            { timeoutMs: 120_000 },
          );
          await session.stop();
        });
        if (round < 0) continue;
        rates.push(frames / (took / 1000));
        cpu.push((cpuMs(pid) - before) / (frames / 1e6));
      }
      const variant = `${driver === 'cleat-gelf' ? 'journal' : 'json'}-${lineBytes}`;
      const note = `frames written by dd one by one; own CPU ${Math.round(median(cpu))} ms per million lines`;
      figures.push({
        variant: `pipeline-${variant}`,
        ours: median(rates),
        peer: undefined,
        unit: 'lines/s',
        rate: true,
        note,
      });
    }
    rmSync(path);
  }
  return figures;
}

async function memory({ say }: BenchContext, host: Host): Promise<Figure[]> {
  say('memory with 200 quiet containers');
  const fresh = await createHost({ name: 'benchlogmem' });
  try {
    const logd = await startDaemon('logd', fresh, { config: { engines: [] }, logLevel: 'info' });
    // The first start of a checkout compiles; later ones find that done.
    await logd.stop();
    await logd.start();
    const pid = await logd.pid();
    const idle = residentMb(pid);
    for (let index = 0; index < 200; index++) {
      const session = openLogSession(
        logd,
        index % 2 ? 'cleat-json-file' : 'cleat-syslog',
        logInfo(index % 2 ? {} : { 'syslog-address': 'udp://127.0.0.1:9' }),
      );
      await session.start();
      await session.write('a line');
    }
    await eventually('all lines are there', async () => {
      const logs = JSON.parse(await logd.cleat('log', 'ls', '--json')) as { lines?: number }[];
      return logs.filter(({ lines }) => lines === 1).length === 200;
    });
    const note = `VmRSS; ${Math.round(idle)} MB without containers`;
    return [{ variant: 'rss-200', ours: residentMb(pid), peer: undefined, unit: 'MB', note }];
  } finally {
    await fresh.close();
    void host;
  }
}

/** Who takes the lines: the driver's name, whether it keeps files, and the processes whose time counts. */
interface Taker {
  readonly driver: string;
  readonly files: boolean;
  readonly pids: readonly number[];
}

type Takers = Readonly<Record<'ours' | 'builtin' | 'discard' | 'cat', Taker>>;

/** Containers that write as fast as they can, a group for each taker; the groups take turns. */
async function containers({ rounds, say }: BenchContext, engine: Engine, takers: Takers): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [count, lineBytes, lines, names] of [
    [1, 100, 600_000, ['ours', 'discard', 'cat', 'builtin']],
    [1, 1024, 150_000, ['ours', 'discard', 'cat', 'builtin']],
    [50, 100, 20_000, ['ours', 'discard', 'builtin']],
  ] as const) {
    // What all of them keep stays small: a virtual machine gets memory that it has not had yet slowly from its host.
    const size = [`max-size=${count === 1 ? '10m' : '1m'}`, 'max-file=3'];
    say(`${count} containers, lines of ${lineBytes} bytes: ${names.join(', ')}`);
    const groups = new Map<string, LogWriters>();
    for (const name of names)
      groups.set(
        name,
        await startLogWriters(engine, {
          ...takers[name],
          options: takers[name].files ? size : [],
          count,
          lineBytes,
          lines,
        }),
      );
    const rates = new Map<string, number[]>(names.map((name) => [name, []]));
    const cpu = new Map<string, number[]>(names.map((name) => [name, []]));
    // The first round warms up; then each round begins with another one.
    for (let round = -1; round < rounds; round++) {
      for (const index of names.keys()) {
        const name = names[(index + round + names.length) % names.length] as keyof Takers;
        const before = sum(takers[name].pids.map(cpuMs));
        const rate = await groups.get(name)?.write();
        if (round < 0 || rate === undefined) continue;
        rates.get(name)?.push(rate);
        cpu.get(name)?.push((sum(takers[name].pids.map(cpuMs)) - before) / ((count * lines) / 1e6));
      }
    }
    for (const group of groups.values()) await group.close();
    for (const name of names)
      say(
        `  ${name}: ${rates
          .get(name)
          ?.map((rate) => Math.round(rate))
          .join(' ')} lines/s`,
      );
    const variant = `${count}x${lineBytes}`;
    for (const name of names) {
      if (name === 'ours') continue;
      const pair = (values: Map<string, number[]>) => ({
        ours: median(values.get('ours') ?? []),
        peer: median(values.get(name) ?? []),
      });
      figures.push(
        { variant: `${variant}-${name}`, ...pair(rates), unit: 'lines/s', rate: true, note: notes[name] },
        { variant: `${variant}-cpu-${name}`, ...pair(cpu), unit: 'ms/Mline', note: 'dockerd and the plugin' },
      );
    }
  }
  return figures;
}

const notes = {
  builtin: 'json-file of the same engine',
  discard: 'a plugin with our reader that throws every line away',
  cat: 'a plugin that starts cat FIFO >/dev/null for each session',
} as const;

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

async function stopping({ rounds, say }: BenchContext, engine: Engine): Promise<Figure[]> {
  say('docker stop with the server down');
  const stop = async (driver: string, options: readonly string[]): Promise<number> => {
    const id = await engine.docker(
      'run',
      '-d',
      '--net',
      'none',
      '--log-driver',
      driver,
      ...options,
      'busybox',
      'sh',
      '-c',
      'trap exit TERM; while :; do echo x; sleep 0.01; done',
    );
    const took = await timeMs(() => engine.docker('stop', id));
    await engine.docker('rm', '-f', id);
    return took;
  };
  const { ours, peer } = await interleave(rounds + 2, {
    ours: () => stop('cleat-syslog', ['--log-opt', 'syslog-address=tcp://192.0.2.1:514']),
    peer: () => stop('json-file', []),
  });
  return [
    {
      variant: 'stop',
      ours: median(ours),
      peer: median(peer),
      unit: 'ms',
      note: 'server unreachable, against json-file, which has none',
    },
  ];
}

/** The same 2 GB file for both: Docker's own of a container of each driver is replaced by it. */
async function reading({ rounds, say }: BenchContext, host: Host, logd: Daemon, engine: Engine): Promise<Figure[]> {
  say('docker logs on 2 GB');
  const make = async (driver: string): Promise<string> => {
    const id = await engine.docker(
      'run',
      '-d',
      '--net',
      'none',
      '--log-driver',
      driver,
      '--log-opt',
      'max-size=4g',
      'busybox',
      'true',
    );
    await engine.docker('wait', id);
    return id;
  };
  const [ours, peer] = [await make('cleat-json-file'), await make('json-file')];
  const folder = join(logd.stateDir, 'log', ours);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${ours}-json.log`);
  const lastSecond = Date.UTC(2026, 0, 2) / 1000;
  writeLargeLog(path, lastSecond);
  execFileSync('cp', [path, join(host.dir, 'data', 'containers', peer, `${peer}-json.log`)]);
  const since = new Date((lastSecond - 2) * 1000).toISOString();
  const figures: Figure[] = [];
  for (const [variant, options] of [
    ['since', ['--since', since]],
    ['tail', ['--tail', '1000']],
  ] as const) {
    const read = (id: string): Promise<number> =>
      timeMs(() => engine.dockerWith({ timeoutMs: 300_000 }, 'logs', ...options, id));
    const samples = await interleave(Math.min(rounds, 2), { ours: () => read(ours), peer: () => read(peer) });
    figures.push({
      variant: `${variant}-2gb`,
      ours: median(samples.ours),
      peer: median(samples.peer),
      unit: 'ms',
      note: 'against json-file',
    });
  }
  await engine.docker('rm', '-f', ours, peer);
  return figures;
}

/** Lines of about 170 bytes, 1000 a second, the last of which has this time. */
function writeLargeLog(path: string, lastSecond: number): void {
  const total = 2_000_000_000;
  const line = (second: number, index: number): string =>
    `{"log":"${'a line of a log that is long '.repeat(3)}${index}\\n","stream":"stdout","time":"${new Date(second * 1000).toISOString().slice(0, 19)}.${String(index % 1000).padStart(3, '0')}Z"}\n`;
  const bytesPerSecond = 1000 * line(lastSecond, 999).length;
  const seconds = Math.ceil(total / bytesPerSecond);
  writeFileSync(path, '');
  const fd = openSync(path, 'a');
  for (let second = lastSecond - seconds + 1; second <= lastSecond; second++) {
    writeSync(fd, Array.from({ length: 1000 }, (_, index) => line(second, index)).join(''));
  }
  closeSync(fd);
}

/** User and system time of a process, in ms; fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms. proc(5) */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function residentMb(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return (Number(kilobytes) * 1024) / 1e6;
}
