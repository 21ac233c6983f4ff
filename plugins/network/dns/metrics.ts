/** The counters of the hot path as Prometheus metrics, read at the time of a scrape. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Directory } from './directory.ts';
import type { Forwarders } from './forwarders.ts';
import type { Responder } from './responder.ts';
import { countedTypes, latencyBuckets, outcomes } from './stats.ts';

export interface MetricsParts {
  readonly registry: Registry;
  readonly directory: Directory;
  readonly forwarders: Forwarders;
  readonly responder: Responder;
}

export function registerMetrics({ registry, directory, forwarders, responder }: MetricsParts): void {
  const registers = [registry];
  new Counter({
    name: 'cleat_dns_queries_total',
    help: 'Queries by network, type and outcome',
    labelNames: ['network', 'type', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const { network, stats } of directory.networks()) {
        for (const [typeAt, type] of countedTypes.entries()) {
          for (const [outcomeAt, outcome] of outcomes.entries()) {
            const count = stats.queries[typeAt * outcomes.length + outcomeAt] ?? 0;
            if (count > 0)
              this.inc(
                { network: directory.nameOf(network.networkId) ?? network.networkId.slice(0, 12), type, outcome },
                count,
              );
          }
        }
      }
    },
  });
  registry.registerMetric(new LatencyHistogram(directory));
  const upstreams = () => forwarders.all().flatMap(({ groups }) => groups.flatMap(({ group }) => group.upstreams));
  new Counter({
    name: 'cleat_dns_upstream_queries_total',
    help: 'Queries sent to each upstream, and what became of them',
    labelNames: ['upstream', 'outcome'],
    registers,
    collect() {
      this.reset();
      for (const { address, counts } of upstreams()) {
        for (const outcome of ['sent', 'answered', 'lost'] as const)
          this.inc({ upstream: address.text, outcome }, counts[outcome]);
      }
    },
  });
  new Gauge({
    name: 'cleat_dns_upstream_rtt_seconds',
    help: 'Smoothed time to an answer of each upstream',
    labelNames: ['upstream'],
    registers,
    collect() {
      this.reset();
      for (const { address, srttMs } of upstreams()) this.set({ upstream: address.text }, srttMs / 1000);
    },
  });
  const sum = (pick: (forwarder: ReturnType<Forwarders['all']>[number]) => number) =>
    forwarders.all().reduce((total, one) => total + pick(one), 0);
  gauge('cleat_dns_cache_bytes', 'Memory of the cache', () => sum((one) => one.cache.bytes));
  gauge('cleat_dns_cache_entries', 'Answers in the cache', () => sum((one) => one.cache.size));
  gauge('cleat_dns_waiting', 'Questions that wait for an upstream', () => responder.pending);
  gauge('cleat_dns_names', 'Names in all networks', () =>
    directory.networks().reduce((total, { zone }) => total + zone.size, 0),
  );

  function gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  }
}

const name = 'cleat_dns_latency_seconds';
const help = 'Time from the wake-up for a query to its reply';

/** A histogram whose buckets are counted elsewhere. */
class LatencyHistogram extends Histogram<'network'> {
  readonly #directory: Directory;

  constructor(directory: Directory) {
    super({
      name,
      help,
      labelNames: ['network'],
      buckets: [...latencyBuckets],
      registers: [],
    });
    this.#directory = directory;
  }

  /** What prom-client's registry calls for its text form; its own would only know what was observed through it. */
  getForPromString(): ReturnType<Histogram<'network'>['get']> {
    return this.get();
  }

  override async get(): ReturnType<Histogram<'network'>['get']> {
    const values = this.#directory.networks().flatMap(({ network, stats }) => {
      const label = this.#directory.nameOf(network.networkId) ?? network.networkId.slice(0, 12);
      let total = 0;
      const buckets = [...latencyBuckets, '+Inf' as const].map((le, index) => {
        total += stats.latency[index] ?? 0;
        return {
          metricName: `${name}_bucket`,
          labels: { network: label, le },
          value: total,
          exemplar: null,
        };
      });
      return [
        ...buckets,
        {
          metricName: `${name}_sum`,
          labels: { network: label },
          value: stats.latencySum,
          exemplar: null,
        },
        { metricName: `${name}_count`, labels: { network: label }, value: total, exemplar: null },
      ];
    });
    // prom-client's types name an enum and a hook that its text form does not look at.
    return { name, help, type: 'histogram', aggregator: 'sum', values } as unknown as Awaited<
      ReturnType<Histogram<'network'>['get']>
    >;
  }
}
