import pino from 'pino';
import { Registry } from 'prom-client';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { NetworkRegistry } from '../registry.ts';
import { Directory } from './directory.ts';
import { Forwarders } from './forwarders.ts';
import { registerMetrics } from './metrics.ts';
import { QueryLog } from './query-log.ts';
import { Responder } from './responder.ts';
import { outcomeIndex } from './stats.ts';

test('counts and times of the hot path come out as Prometheus text', async () => {
  const log = pino({ level: 'silent' });
  const networks = new NetworkRegistry();
  const responder = new Responder(new QueryLog(), () => 0);
  const conf = { servers: [], search: [] };
  const parts = { log, responder, now: () => 0, cacheBytes: 1000, configured: [], split: [] };
  const forwarders = new Forwarders(parts, conf);
  const directory = new Directory({ registry: networks, engines: [], forwarders, log }, conf);
  const registry = new Registry();
  registerMetrics({ registry, directory, forwarders, responder });
  const networkId = 'abcdef012345'.padEnd(64, '0');
  networks.putNetwork({ networkId, driver: 'cleat-bridge', options: {}, internal: false, pools: [] });
  const { stats } = directory.viewOf([networkId]);
  stats.count(1, outcomeIndex.local);
  stats.count(1, outcomeIndex.local);
  stats.count(65280, outcomeIndex.nxdomain);
  stats.took(0.00002, 2);
  stats.took(0.2, 1);
  const text = await registry.metrics();
  const network = 'network="abcdef012345"';
  for (const line of [
    `cleat_dns_queries_total{${network},type="A",outcome="local"} 2`,
    `cleat_dns_queries_total{${network},type="other",outcome="nxdomain"} 1`,
    `cleat_dns_latency_seconds_bucket{${network},le="0.00001"} 0`,
    `cleat_dns_latency_seconds_bucket{${network},le="0.000025"} 2`,
    `cleat_dns_latency_seconds_bucket{${network},le="0.3"} 3`,
    `cleat_dns_latency_seconds_bucket{${network},le="+Inf"} 3`,
    `cleat_dns_latency_seconds_count{${network}} 3`,
  ]) {
    assert.ok(text.includes(`${line}\n`) || text.endsWith(line), `${line}\n${text}`);
  }
  assert.is(
    (await registry.metrics()).match(/outcome="local"} 2/g)?.length,
    1,
    'a second reading counts nothing twice',
  );
});

test.run();
