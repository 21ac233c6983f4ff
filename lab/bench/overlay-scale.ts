/**
 * The control plane of cleat-overlay with etcd, as it grows: N hosts of one network with 50 containers each.
 *
 *     etcd ──┬── cleat-networkd of one host, with its kernel
 *            └── control planes of the other hosts, as the daemon runs them, in two processes
 *
 * All of it shares this machine's processors, which N hosts do not: times are above theirs. etcd keeps its data in memory, so
 * that no disk is part of them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { getLink } from '../../plugins/linux/netlink/link.ts';
import { monitorRoutes, RouteSocket } from '../../plugins/linux/netlink/route-socket.ts';
import { type Netns, openNetns } from '../../plugins/linux/netns.ts';
import { containerEndName, vxlanName } from '../../plugins/network/link/names.ts';
import { vniOf } from '../../plugins/network/overlay/options.ts';
import { createNetwork, join, type Machine, startMachine } from '../../test/integration/overlay-lab.ts';
import { deadline } from '../../test/support/deadline.ts';
import { startEtcd } from '../../test/support/etcd.ts';
import { createHost, type Host } from '../../test/support/host.ts';
import { createSegment } from '../../test/support/segment.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { median } from './harness/interleave.ts';
import { type PlaneAnswer, type PlaneRequest, type PlaneSetting, planeHost } from './harness/overlay-planes.ts';
import { processesBeside, programOf, residentMb } from './harness/process-memory.ts';

const sizes = [10, 30, 100] as const;
const perHost = 50;
const leaseMs = 10_000;
const name = 'scale';
const pool = '10.64.0.0/16';
const [etcdAddress, realAddress, planesAddress] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'] as const;
/** For what comes by itself, and for so many changes one after the other. */
const idleSeconds = 5;
const changes = 100;
const everyMs = 50;
const limitMs = 120_000;

export const bench: Bench = {
  name: 'overlay-scale',
  about:
    'how joins, deaths and changes of hosts spread through etcd with 10, 30 and 100 hosts, and what they cost; no peer',
  rounds: 3,
  run: measure,
};

interface Scene {
  readonly etcdHost: Host;
  readonly real: Machine;
  readonly planes: Planes;
  readonly known: KernelView;
}

/** Containers that the kernel of the real host knows, by its own news: asking it takes longer than what is measured. */
class KernelView {
  readonly #macs = new Map<string, Set<string>>();
  readonly #monitor;
  #waiting: (() => void)[] = [];

  constructor(netns: Netns) {
    using socket = new RouteSocket(netns);
    const { index } = getLink(socket, vxlanName(vniOf(name)));
    this.#monitor = monitorRoutes({
      netns,
      topics: ['neighbour'],
      onChange: (change) => {
        if (change.kind !== 'fdb' || change.entry.link !== index) return;
        const { destination = '', mac } = change.entry;
        const macs = this.#macs.get(destination) ?? new Set();
        this.#macs.set(destination, macs);
        if (change.change === 'deleted') macs.delete(mac);
        else if (mac !== '00:00:00:00:00:00') macs.add(mac);
        for (const look of this.#waiting) look();
      },
      onLost: () => {
        throw new Error('news of the kernel were lost');
      },
    });
  }

  /** When it had so many of a host. */
  async has(host: string, count: number): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    const look = () => (this.#macs.get(host)?.size ?? 0) === count && resolve(now());
    this.#waiting.push(look);
    look();
    const at = await deadline(`${count} containers of ${host} in the kernel`, limitMs, promise);
    this.#waiting = this.#waiting.filter((one) => one !== look);
    return at;
  }

  close(): void {
    this.#monitor.close();
  }
}

async function measure(context: BenchContext): Promise<Figure[]> {
  const parts: { close(): Promise<void> | void }[] = [];
  const later = <T extends { close(): Promise<void> | void }>(part: T): T => {
    parts.push(part);
    return part;
  };
  try {
    const segment = later(await createSegment());
    const hosts: Host[] = [];
    for (const [index, address] of [etcdAddress, realAddress, planesAddress].entries()) {
      const host = later(await createHost({ name: ['etcd', 'real', 'planes'][index] ?? '' }));
      await segment.attach(host, { addresses: [`${address}/24`] });
      hosts.push(host);
    }
    const [etcdHost, realHost, planesHost] = hosts as [Host, Host, Host];
    const etcd = later(await startEtcd({ hosts: [{ host: etcdHost, address: etcdAddress }], inMemory: true }));
    const [endpoint = ''] = etcd.endpoints;
    const real = await startMachine(realHost, { etcd: { endpoints: etcd.endpoints }, lease: `${leaseMs / 1000}s` });
    await createNetwork(real, { options: { 'cleat.network': name }, pool });
    await realHost.sh('ip netns add boxes');
    for (let number = 1; number <= perHost; number += 1) {
      const link = containerEndName(await join(real, `10.64.255.${number}/16`));
      await realHost.sh(`ip link set ${link} netns boxes`);
    }
    const setting = { etcd: endpoint, network: sharedNetwork, endpoints: perHost, leaseMs };
    const planes = later(new Planes(planesHost, setting));
    using netns = openNetns(realHost.netns);
    const scene = { etcdHost, real, planes, known: later(new KernelView(netns)) };
    const figures: Figure[] = [];
    for (const size of sizes) {
      context.say(`${size} hosts`);
      await planes.grow(size - 1);
      figures.push(...(await measureSize(scene, size, context)));
    }
    return figures;
  } finally {
    for (const part of parts.reverse()) await part.close();
  }
}

async function measureSize(
  { planes, real, etcdHost, known }: Scene,
  size: number,
  { rounds, say }: BenchContext,
): Promise<Figure[]> {
  const joins: number[] = [];
  const completes: number[] = [];
  const deaths: number[] = [];
  const puts: number[] = [];
  const kernels: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    say(`change ${round}`);
    const index = round % (size - 1);
    for (const kind of ['put', 'remove'] as const) {
      const began = now();
      await planes.ask(index, { kind, index, endpoint: perHost });
      const count = kind === 'put' ? perHost + 1 : perHost;
      const [all, kernel] = await Promise.all([planes.expect(index, count), known.has(planeHost(index), count)]);
      puts.push(all - began);
      kernels.push(kernel - began);
    }
  }
  for (let round = 0; round < rounds; round += 1) {
    say(`join and death ${round}`);
    const began = now();
    const index = planes.guest();
    const opened = planes.open(index);
    const complete = opened.then(() => planes.ask(index, { kind: 'complete', index, endpoints: size * perHost }));
    const seen = Promise.all([planes.expect(index, perHost), known.has(planeHost(index), perHost)]);
    joins.push(Math.max(...(await seen)) - began);
    completes.push((await complete).at - began);
    const died = now();
    await planes.ask(index, { kind: 'die', index });
    const gone = await Promise.all([planes.expect(index, 0), known.has(planeHost(index), 0)]);
    deaths.push(Math.max(...gone) - died);
  }
  say('traffic');
  const pid = await real.daemon.pid();
  const rest = cpuMs(pid);
  const idle = await traffic(etcdHost, () => delay(idleSeconds * 1000));
  const cpu = cpuMs(pid);
  const idleCpu = (cpu - rest) / idle.seconds;
  const busy = await traffic(etcdHost, async () => {
    for (let number = 0; number < changes; number += 1) {
      const index = number % (size - 1);
      const kind = Math.floor(number / (size - 1)) % 2 === 0 ? 'put' : 'remove';
      await planes.ask(index, { kind, index, endpoint: perHost });
      await delay(everyMs);
    }
  });
  const cpuChange = (cpuMs(pid) - cpu - idleCpu * busy.seconds) / changes;
  const each = (of: 'messages' | 'sentBytes' | 'receivedBytes') =>
    (busy[of] - (idle[of] / idle.seconds) * busy.seconds) / changes;
  // Back to where it was.
  for (let index = 0; index < size - 1; index += 1)
    await planes.ask(index, { kind: 'remove', index, endpoint: perHost });
  await Promise.all(Array.from({ length: size - 1 }, (_, index) => planes.expect(index, perHost)));
  const { sessions, planes: alive, complaints } = await planes.tally();
  if (complaints > 0) say(`${complaints} warnings of hosts so far`);
  const row = (variant: string, ours: number, unit: string, note?: string): Figure => ({
    variant: `${variant}-${size}`,
    ours,
    peer: undefined,
    unit,
    ...(note !== undefined && { note }),
  });
  const [rss, etcdRss, planesRss] = [residentMb(pid), residentMb(etcdPid(etcdHost)), planes.residentMb()];
  return [
    row('change', median(puts), 'ms', 'from a container until all hosts know'),
    row('kernel', median(kernels), 'ms', 'until the kernel of the real host has it'),
    row('join', median(joins), 'ms', `start of a host until all know its ${perHost} containers`),
    row('complete', median(completes), 'ms', 'until it knows those of all others'),
    row('death', median(deaths), 'ms', `end of a host until all have forgotten it; lease ${leaseMs} ms`),
    row('messages', each('messages'), 'per change', 'sent by etcd in watches'),
    row('sent', each('sentBytes') / 1000, 'kB/change', 'by etcd'),
    row('received', each('receivedBytes') / 1000, 'kB/change', 'by etcd'),
    row('idle-sent', idle.sentBytes / idle.seconds / size / 1000, 'kB/s host', 'by etcd, when nothing changes'),
    row('cpu', cpuChange, 'ms/change', 'of the daemon of the real host'),
    row('idle-cpu', idleCpu, 'ms/s', 'of that daemon, when nothing changes'),
    row('memory', rss, 'MB', 'VmRSS of that daemon'),
    row('memory-plane', planesRss / alive, 'MB', 'of the other hosts, for each'),
    row('memory-etcd', etcdRss, 'MB'),
    row('reconnects', sessions - alive, 'connections', 'that were lost and made again, of all hosts'),
  ];
}

const sharedNetwork = {
  name,
  vni: vniOf(name),
  port: 4789,
  pools: [pool],
  gateways: ['10.64.0.1'],
  shares: 0,
} as const;

interface Traffic {
  readonly messages: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
  readonly seconds: number;
}

/** By etcd's own metrics, while the work is done. */
async function traffic(host: Host, work: () => Promise<void>): Promise<Traffic> {
  const read = async () => {
    const text = await host.sh(`curl -sf http://${etcdAddress}:2379/metrics`);
    const sum = (pattern: RegExp) => [...text.matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0);
    return {
      messages: sum(/^grpc_server_msg_sent_total\{grpc_method="Watch".* (\S+)$/gm),
      sentBytes: sum(/^etcd_network_client_grpc_sent_bytes_total (\S+)$/gm),
      receivedBytes: sum(/^etcd_network_client_grpc_received_bytes_total (\S+)$/gm),
    };
  };
  const before = await read();
  const began = now();
  await work();
  const seconds = (now() - began) / 1000;
  const after = await read();
  return {
    messages: after.messages - before.messages,
    sentBytes: after.sentBytes - before.sentBytes,
    receivedBytes: after.receivedBytes - before.receivedBytes,
    seconds,
  };
}

function etcdPid(host: Host): number {
  const pid = processesBeside(host.pid).find((one) => programOf(one) === 'etcd');
  if (pid === undefined) throw new Error('etcd does not run');
  return pid;
}

/** utime and stime, proc(5), in ticks of 10 ms. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

/** The hosts without kernels, in two processes. */
class Planes {
  readonly #dir = mkdtempSync('/dev/shm/cleat-planes-');
  readonly #workers: readonly Worker[];
  readonly #setting: PlaneSetting;
  #count = 0;
  /** Of those that come and go: a number is used once, for the addresses of the dead stay theirs for a day. */
  #guests = 1000;

  constructor(host: Host, setting: Omit<PlaneSetting, 'dir'>) {
    this.#setting = { ...setting, dir: this.#dir };
    this.#workers = [new Worker(host), new Worker(host)];
  }

  /** To so many, a few at a time; waits until all know all. */
  async grow(count: number): Promise<void> {
    const first = this.#count;
    this.#count = count;
    const waiting = Array.from({ length: count - first }, (_, at) => first + at);
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) await this.open(index);
      }),
    );
    await Promise.all(Array.from({ length: count }, (_, index) => this.expect(index, perHost)));
  }

  /** A number for a host that does not stay. */
  guest(): number {
    this.#guests += 1;
    return this.#guests;
  }

  async open(index: number): Promise<void> {
    await this.ask(index, { kind: 'open', index, setting: this.#setting });
  }

  ask(index: number, request: PlaneRequest): Promise<PlaneAnswer> {
    return (this.#workers[index % this.#workers.length] as Worker).ask(request);
  }

  /** When the last of them saw it. */
  async expect(index: number, endpoints: number): Promise<number> {
    const host = planeHost(index);
    const answers = await Promise.all(this.#workers.map((one) => one.ask({ kind: 'expect', host, endpoints })));
    return Math.max(...answers.map(({ at }) => at));
  }

  async tally(): Promise<NonNullable<PlaneAnswer['counts']>> {
    const answers = await Promise.all(this.#workers.map((one) => one.ask({ kind: 'count' })));
    const sum = (of: keyof NonNullable<PlaneAnswer['counts']>) =>
      answers.reduce((total, { counts }) => total + (counts?.[of] ?? 0), 0);
    return { sessions: sum('sessions'), planes: sum('planes'), complaints: sum('complaints') };
  }

  residentMb(): number {
    return this.#workers.reduce((sum, { pid }) => sum + residentMb(pid), 0);
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((one) => one.close()));
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

class Worker {
  readonly #child;
  readonly #asked = new Map<number, { resolve(answer: PlaneAnswer): void; reject(error: Error): void }>();
  #next = 0;

  /** In the host's network. */
  constructor(host: Host) {
    const script = fileURLToPath(new URL('./harness/overlay-planes.ts', import.meta.url));
    this.#child = spawn('nsenter', [`--net=${host.netns}`, process.execPath, script], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (answer: PlaneAnswer) => {
      const asked = this.#asked.get(answer.id);
      this.#asked.delete(answer.id);
      if (answer.error === undefined) asked?.resolve(answer);
      else asked?.reject(new Error(answer.error));
    });
    this.#child.on('exit', () => {
      for (const { reject } of this.#asked.values()) reject(new Error('the process of the planes ended'));
    });
  }

  /** nsenter has become it. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async ask(request: PlaneRequest): Promise<PlaneAnswer> {
    this.#next += 1;
    const id = this.#next;
    const { promise, resolve, reject } = Promise.withResolvers<PlaneAnswer>();
    this.#asked.set(id, { resolve, reject });
    const late = setTimeout(() => reject(new Error(`not within ${limitMs} ms: ${JSON.stringify(request)}`)), limitMs);
    this.#child.send({ id, request });
    return await promise.finally(() => clearTimeout(late));
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.disconnect();
    await exited;
  }
}
