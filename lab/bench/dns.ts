/**
 * DNS answers, by dnsperf from inside a container's namespace, against Docker's own resolvers, dnsmasq and aardvark-dns. One
 * run, the servers taking turns; CPU is the server's own, of all its threads.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../test/support/deadline.ts';
import type { Bench, BenchContext, Figure } from './harness/bench.ts';
import { cpu, externalDomain, openPlaces, type Place, type Places } from './harness/dns-places.ts';
import { median } from './harness/interleave.ts';

const variants = ['one', 'four', 'nxdomain', 'cached', 'uncached'] as const;
type Variant = (typeof variants)[number];

const seconds = 1;
const latencySeconds = 1;
/** Queries per second that count as low load. */
const lowRate = 200;
const uncachedNames = 100_000;

interface Run {
  readonly qps: number;
  readonly cpuUs: number;
}

export const bench: Bench = {
  name: 'dns',
  about: "CPU per query, rate, latency and memory of DNS answers against Docker's resolvers, dnsmasq and aardvark-dns",
  rounds: 2,
  async run(context) {
    const places = await openPlaces(context.say);
    try {
      return [...(await measure(places, context)), ...(await memory(places, context))];
    } finally {
      await places.close();
    }
  },
};

async function measure({ ours, peers }: Places, context: BenchContext): Promise<Figure[]> {
  const all = [ours, ...peers];
  const figures: Figure[] = [];
  for (const variant of variants) {
    context.say(variant);
    const runs = new Map<Place, Run[]>(all.map((place) => [place, []]));
    for (let round = -1; round < context.rounds; round++) {
      for (const place of round % 2 === 0 ? all : [...all].reverse()) {
        const run = await flood(place, variant, round);
        if (round >= 0) runs.get(place)?.push(run);
      }
    }
    const of = (place: Place, pick: (run: Run) => number): number => median((runs.get(place) ?? []).map(pick));
    for (const peer of peers) {
      const name = `${variant}-${peer.name}`;
      figures.push({
        variant: `cpu-${name}`,
        ours: of(ours, (run) => run.cpuUs),
        peer: of(peer, (run) => run.cpuUs),
        unit: 'us a query',
      });
      figures.push({
        variant: `qps-${name}`,
        ours: of(ours, (run) => run.qps),
        peer: of(peer, (run) => run.qps),
        unit: 'queries/s',
        rate: true,
      });
    }
    const half = Math.min(...all.map((place) => of(place, (run) => run.qps))) / 2;
    for (const [load, rate] of [
      ['low', lowRate],
      ['half', half],
    ] as const) {
      const times = new Map<Place, { p50: number[]; p99: number[] }>(all.map((place) => [place, { p50: [], p99: [] }]));
      for (let round = 0; round < context.rounds; round++) {
        for (const place of round % 2 === 0 ? all : [...all].reverse()) {
          const { p50, p99 } = await latency(place, variant, rate, round);
          times.get(place)?.p50.push(p50);
          times.get(place)?.p99.push(p99);
        }
      }
      const note = `${Math.round(rate)} queries/s`;
      for (const peer of peers) {
        for (const what of ['p50', 'p99'] as const) {
          const value = (place: Place): number => median(times.get(place)?.[what] ?? []);
          figures.push({
            variant: `${what}-${load}-${variant}-${peer.name}`,
            ours: value(ours),
            peer: value(peer),
            unit: 'us',
            note,
          });
        }
      }
    }
  }
  return figures;
}

let files = 0;

/** A file of questions for dnsperf; uncached names are never the same twice. */
function questions(place: Place, variant: Variant): string {
  const path = join(place.host.dir, `questions-${variant}${variant === 'uncached' ? files++ : ''}`);
  const name = { one: 'one', four: 'four', nxdomain: place.missing, cached: `www.${externalDomain}`, uncached: '' }[
    variant
  ];
  const run = files;
  const lines =
    variant === 'uncached'
      ? Array.from({ length: uncachedNames }, (_, i) => `u${run}-${i}.${externalDomain} A`)
      : [`${name} A`];
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

/** As fast as a hundred questions under way allow. */
async function flood(place: Place, variant: Variant, _round: number): Promise<Run> {
  const path = questions(place, variant);
  const before = cpu(place);
  const output = await place.host.sh(
    `nsenter --net=${place.netns} dnsperf -s ${place.server} -d ${path} -l ${seconds} -c 4 -T 1 -q 100 2>&1`,
    { timeoutMs: 60_000 },
  );
  const spent = cpu(place) - before;
  const completed = Number(/Queries completed:\s+(\d+)/.exec(output)?.[1] ?? 0);
  if (completed === 0) throw new Error(`${place.name} answered nothing:\n${output}`);
  return { qps: Number(/Queries per second:\s+([\d.]+)/.exec(output)?.[1] ?? 0), cpuUs: spent / completed };
}

/** Times of single answers at a given rate, in microseconds. */
async function latency(
  place: Place,
  variant: Variant,
  rate: number,
  _round: number,
): Promise<{ p50: number; p99: number }> {
  const path = questions(place, variant);
  const out = join(place.host.dir, 'latency');
  await place.host.sh(
    `nsenter --net=${place.netns} dnsperf -s ${place.server} -d ${path} -l ${latencySeconds} -c 4 -T 1 -q 100 -Q ${Math.max(Math.round(rate), 1)} -v > ${out} 2>&1`,
    { timeoutMs: 60_000 },
  );
  const times = readFileSync(out, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('> '))
    .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)) * 1e6)
    .sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

const nameCount = 10_000;

/** Resident memory before and after 10 000 more names, all of which are asked for once. */
async function memory({ ours, peers }: Places, context: BenchContext): Promise<Figure[]> {
  context.say(`memory at ${nameCount} names`);
  const names = Array.from({ length: nameCount }, (_, i) => `name${i}`);
  const found: { place: Place; empty: number; full: number }[] = [];
  for (const place of [ours, ...peers]) {
    const empty = resident(place);
    await place.learn(names);
    await eventually(`${place.name} knows them`, () => knows(place, names.at(-1) ?? ''));
    const path = join(place.host.dir, `questions-${place.name}-names`);
    writeFileSync(path, names.map((name) => `${name} A\n`).join(''));
    const output = await place.host.sh(
      `nsenter --net=${place.netns} dnsperf -s ${place.server} -d ${path} -n 1 -T 1 -q 20 2>&1`,
      { timeoutMs: 60_000 },
    );
    const answered = Number(/NOERROR (\d+)/.exec(output)?.[1] ?? 0);
    if (answered < nameCount * 0.99)
      throw new Error(`${place.name} knows ${answered} of ${nameCount} names:\n${output}`);
    found.push({ place, empty, full: resident(place) });
  }
  const [mine, ...others] = found;
  return others.flatMap(({ place, empty, full }) => [
    {
      variant: `memory-${nameCount}-${place.name}`,
      ours: (mine?.full ?? 0) / 1e6,
      peer: full / 1e6,
      unit: 'MB',
      note: 'the whole process',
    },
    {
      variant: `memory-name-${place.name}`,
      ours: ((mine?.full ?? 0) - (mine?.empty ?? 0)) / nameCount,
      peer: (full - empty) / nameCount,
      unit: 'bytes a name',
      note: 'grown by; of ours with the answers that are ready',
    },
  ]);
}

async function knows(place: Place, name: string): Promise<boolean> {
  return (
    (await place.host.sh(`nsenter --net=${place.netns} dig +short +tries=1 +time=1 @${place.server} ${name}`)) !== ''
  );
}

function resident(place: Place): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${place.pid()}/status`, 'utf8'))?.[1]) * 1024;
}
