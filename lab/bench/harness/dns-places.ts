/**
 * The DNS servers that bench `dns` compares, each in the place where it works, with the same names:
 *
 *     host28 ─┬─ engine 28, cleat-networkd
 *             ├─ client-ours     cleat at 127.0.0.11; dnsmasq and aardvark-dns in the same namespace
 *             └─ client-builtin  the engine's resolver at 127.0.0.11
 *     host20 ─── engine 20.10: client-builtin as well
 *     upstream ── dnsmasq, which knows everything below ext.example
 *
 *     one   one container        four   an alias of four containers
 */
import { appendFileSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Daemon, startDaemon } from '../../../test/support/daemon.ts';
import { eventually } from '../../../test/support/deadline.ts';
import { type Engine, startEngine } from '../../../test/support/engine.ts';
import { createHost, type Host } from '../../../test/support/host.ts';
import { createSegment } from '../../../test/support/segment.ts';
import { ensureSidRoot } from '../../setup/sid-root.ts';

export const domain = 'shop.internal';
export const externalDomain = 'ext.example';

/** One server, seen from a client's namespace. */
export interface Place {
  readonly name: string;
  /** Where the client runs. */
  readonly host: Host;
  /** Path of the client's namespace in the host. */
  readonly netns: string;
  readonly server: string;
  /** A name below the server's own domain that does not exist; outside where it has no domain. */
  readonly missing: string;
  /** The server's process. */
  pid(): number;
  /** Knows these names too when it returns. */
  learn(names: readonly string[]): Promise<void>;
}

/** CPU time of the server so far, in microseconds. */
export function cpu(place: Place): number {
  return cpuOf(place.pid());
}

export interface Places {
  readonly ours: Place;
  readonly peers: readonly Place[];
  close(): Promise<void>;
}

const upstreamAddress = '198.51.100.9';

export async function openPlaces(say: (text: string) => void): Promise<Places> {
  const conf = { resolvConf: `nameserver ${upstreamAddress}\n` };
  const [segment, upstream, host28, host20] = await Promise.all([
    createSegment(),
    createHost({ name: 'upstream' }),
    createHost({ name: 'host28', ...conf }),
    createHost({ name: 'host20', ...conf }),
  ]);
  const close = async (): Promise<void> => {
    await Promise.all([segment, upstream, host28, host20].map((part) => part.close()));
  };
  try {
    await segment.attach(upstream, { addresses: [`${upstreamAddress}/24`] });
    await segment.attach(host28, { addresses: ['198.51.100.28/24'], gateway: upstreamAddress });
    await segment.attach(host20, { addresses: ['198.51.100.20/24'], gateway: upstreamAddress });
    upstream.start('dnsmasq', [
      '-k',
      '-C',
      '/dev/null',
      '-h',
      '-R',
      '--cache-size=0',
      `--address=/${externalDomain}/192.0.2.1`,
      '--local-ttl=600',
      '-a',
      upstreamAddress,
    ]);
    say('engines');
    const networkd = await startDaemon('networkd', host28, { logLevel: 'info' });
    const [engine28, engine20] = await Promise.all([
      startEngine({ version: '28', host: host28 }),
      startEngine({ version: '20.10', host: host20 }),
    ]);
    say('containers');
    await Promise.all([fill(engine28, 'builtin', ['-d', 'bridge']), fill(engine20, 'builtin', ['-d', 'bridge'])]);
    await fill(engine28, 'ours', ['-d', 'cleat-bridge', '-o', `cleat.dns.domain=${domain}`]);
    const ours = await cleatPlace(engine28, networkd);
    const peers = [
      await startDnsmasq(ours),
      await startAardvark(ours),
      await dockerPlace(engine28, 'docker28'),
      await dockerPlace(engine20, 'docker20'),
    ];
    for (const place of [ours, ...peers]) {
      await eventually(`${place.name} answers`, async () => (await dig(place, 'four')).split('\n').length === 4);
      await eventually(
        `${place.name} asks upstream`,
        async () => (await dig(place, `x.${externalDomain}`)) === '192.0.2.1',
      );
    }
    return { ours, peers, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function fill(engine: Engine, network: string, options: readonly string[]): Promise<void> {
  await engine.docker('network', 'create', ...options, network);
  const run = (name: string, ...more: string[]) =>
    engine.docker(
      'run',
      '-d',
      '--name',
      `${name}-${network}`,
      '--network',
      network,
      ...more,
      'busybox',
      'sleep',
      '86400',
    );
  await run('one', '--network-alias', 'one');
  for (const n of [1, 2, 3, 4]) await run(`four${n}`, '--network-alias', 'four');
  await run('client');
}

const sandboxOf = (engine: Engine, network: string): Promise<string> =>
  engine.docker('inspect', '-f', '{{.NetworkSettings.SandboxKey}}', `client-${network}`);

async function cleatPlace(engine: Engine, networkd: Daemon): Promise<Place> {
  const pid = await networkd.pid();
  const { host } = engine;
  return {
    name: 'cleat',
    host,
    netns: await sandboxOf(engine, 'ours'),
    server: '127.0.0.11',
    missing: `nosuch.${domain}`,
    pid: () => pid,
    learn: (names) => learnByAlias(engine, 'ours', names),
  };
}

/** One container more, with all of them as its aliases. */
async function learnByAlias(engine: Engine, network: string, names: readonly string[]): Promise<void> {
  const aliases = names.flatMap((name) => ['--network-alias', name]);
  await engine.docker(
    'run',
    '-d',
    '--name',
    `names-${network}`,
    '--network',
    network,
    ...aliases,
    'busybox',
    'sleep',
    '86400',
  );
}

async function dockerPlace(engine: Engine, name: string): Promise<Place> {
  const pid = await engine.pid();
  const { host } = engine;
  return {
    name,
    host,
    netns: await sandboxOf(engine, 'builtin'),
    server: '127.0.0.11',
    missing: 'nosuch.invalid',
    pid: () => pid,
    learn: (names) => learnByAlias(engine, 'builtin', names),
  };
}

async function startDnsmasq(beside: Place): Promise<Place> {
  const { host, netns } = beside;
  const server = '127.0.0.12';
  const hosts = join(host.dir, 'dnsmasq-hosts');
  writeFileSync(hosts, ['192.0.2.10 one', ...[1, 2, 3, 4].map((n) => `192.0.2.1${n} four`)].join('\n'));
  const started = host.start('nsenter', [
    `--net=${netns}`,
    'dnsmasq',
    ...[
      '-k',
      '-C',
      '/dev/null',
      '-h',
      '-R',
      `--server=${upstreamAddress}`,
      '-a',
      server,
      '--bind-interfaces',
      `--addn-hosts=${hosts}`,
    ],
    ...[`--local=/${domain}/`, '--cache-size=10000', '--user=root', '--local-ttl=5'],
  ]);
  const pid = await started.pid();
  return {
    name: 'dnsmasq',
    host,
    netns,
    server,
    missing: `nosuch.${domain}`,
    pid: () => pid,
    async learn(names) {
      appendFileSync(hosts, names.map((name) => `\n192.0.2.20 ${name}`).join(''));
      process.kill(pid, 'SIGHUP');
    },
  };
}

async function startAardvark(beside: Place): Promise<Place> {
  const { host, netns } = beside;
  const server = '127.0.0.13';
  const id = (n: number): string => String(n).padStart(64, '0');
  const lines = [
    `${server} ${upstreamAddress}`,
    `${id(1)} 192.0.2.10  one`,
    ...[1, 2, 3, 4].map((n) => `${id(n + 1)} 192.0.2.1${n}  four${n},four`),
    `${id(9)} 127.0.0.1  client`,
  ];
  await host.sh('mkdir -p /run/aardvark');
  const file = host.path('/run/aardvark/shop');
  writeFileSync(file, `${lines.join('\n')}\n`);
  const root = ensureSidRoot();
  const libraries = `${root}/usr/lib/x86_64-linux-gnu`;
  const binary = `${root}/usr/lib/podman/aardvark-dns`;
  // The newer root's program with the newer root's loader. It forks; the child is found by its command line.
  host.start('nsenter', [
    `--net=${netns}`,
    `${libraries}/ld-linux-x86-64.so.2`,
    '--library-path',
    libraries,
    binary,
    '-c',
    '/run/aardvark',
    '-p',
    '53',
    'run',
  ]);
  let found: number | undefined;
  const pid = (): number => {
    // Looked for when it has answered: by then the process that stays is the only one.
    found ??= findProcess(binary, `/proc/${host.pid}/ns/pid`);
    if (found === undefined) throw new Error('aardvark-dns does not run');
    return found;
  };
  return {
    name: 'aardvark',
    host,
    netns,
    server,
    missing: 'nosuch.dns.podman',
    pid,
    async learn(names) {
      appendFileSync(file, `${id(10)} 192.0.2.20  ${names.join(',')}\n`);
      process.kill(pid(), 'SIGHUP');
    },
  };
}

/** The youngest process with this word in its command line, in the same process namespace. */
function findProcess(word: string, namespace: string): number | undefined {
  const wanted = readlinkSync(namespace);
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids
    .sort((a, b) => b - a)
    .find((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return (
          command.includes(word) && command[0]?.includes('ld-linux') && readlinkSync(`/proc/${pid}/ns/pid`) === wanted
        );
      } catch {
        return false;
      }
    });
}

/** Microseconds on a CPU of all threads: /proc/PID/task/TID/schedstat, first field, nanoseconds. */
function cpuOf(pid: number): number {
  let total = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1000;
    } catch {
      // The thread has ended meanwhile.
    }
  }
  return total;
}

async function dig(place: Place, name: string): Promise<string> {
  return place.host.sh(`nsenter --net=${place.netns} dig +short +tries=1 +time=2 @${place.server} ${name}`);
}
