/** The DNS server as the daemon wires it: a service that watches what the drivers make. */
import type { FastifyInstance } from 'fastify';
import type { DaemonContext } from '../../sdk/daemon.ts';
import { parseEngineSockets } from '../engine/engine-sockets.ts';
import { EngineWatch } from '../engine/watch.ts';
import type { NetworkRegistry } from '../registry.ts';
import { readDnsConfig } from './config.ts';
import type { AddressNames } from './contribution.ts';
import { dnsRoutes } from './control.ts';
import { Directory } from './directory.ts';
import { Forwarders } from './forwarders.ts';
import { registerMetrics } from './metrics.ts';
import { Placements } from './placements.ts';
import { QueryLog } from './query-log.ts';
import { followResolvConf, readResolvConf } from './resolv-conf.ts';
import { Responder } from './responder.ts';

export interface DnsService {
  readonly engines: readonly EngineWatch[];
  readonly directory: Directory;
  control(app: FastifyInstance): void;
  /** The part "dns" of a new configuration: upstreams; limits and sockets keep what they were started with. Throws DNS_CONFIG. */
  reload(section: unknown): void;
  close(): Promise<void>;
}

/** Seconds that only go forward, counted from the start of the process. */
const seconds = (): number => Math.floor(performance.now() / 1000);

/** Called when the drivers have restored their records: every network is answered when this returns. */
export function startDns(context: DaemonContext, registry: NetworkRegistry, addresses?: AddressNames): DnsService {
  const log = context.log.child({ part: 'dns' });
  const config = readDnsConfig(context.config['dns']);
  const queryLog = new QueryLog();
  const responder = new Responder(queryLog, seconds, {
    pendingPerClient: config.pendingPerClient,
    pendingInAll: config.pendingInAll,
  });
  const conf = readResolvConf(config.resolvConf);
  const forwarders = new Forwarders(
    { log, responder, now: seconds, cacheBytes: config.cacheBytes, configured: config.upstreams, split: config.split },
    conf,
  );
  const engines = parseEngineSockets(context.config['engines']).map(
    (socketPath) => new EngineWatch({ socketPath, log }),
  );
  const directory = new Directory({ registry, engines, forwarders, log, ...(addresses && { addresses }) }, conf);
  const placements = new Placements({ registry, directory, responder, queryLog, now: seconds, log });
  registerMetrics({ registry: context.registry, directory, forwarders, responder });
  const follow = followResolvConf((next) => {
    log.info({ servers: next.servers, search: next.search }, 'the host has another resolv.conf');
    directory.setHost(next);
  }, config.resolvConf);
  for (const engine of engines) engine.start();
  return {
    engines,
    directory,
    control: (app) => dnsRoutes(app, { directory, responder, placements, queryLog, forwarders, engines }),
    reload(section) {
      const next = readDnsConfig(section);
      forwarders.setConfigured(next.upstreams, next.split);
      directory.renewViews();
    },
    async close() {
      follow.close();
      placements.close();
      forwarders.close();
      await Promise.all(engines.map((engine) => engine.close()));
    },
  };
}
