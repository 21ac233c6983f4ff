/** Routes of the DNS server on the daemon's control socket; `cleat dns` calls them. */
import type { FastifyInstance } from 'fastify';
import type { EngineWatch } from '../engine/watch.ts';
import type { Directory } from './directory.ts';
import { explain, findNetwork } from './explain.ts';
import type { Forwarders } from './forwarders.ts';
import type { Placements } from './placements.ts';
import type { QueryLog, QueryLogEntry } from './query-log.ts';
import { formatRdata } from './rdata.ts';
import type { Responder } from './responder.ts';
import { typeName } from './wire.ts';

export interface DnsRoutesParts {
  readonly directory: Directory;
  readonly responder: Responder;
  readonly placements: Placements;
  readonly queryLog: QueryLog;
  readonly forwarders: Forwarders;
  readonly engines: readonly EngineWatch[];
}

/** A reader that falls behind loses lines instead of filling the memory. */
const maxUnreadBytes = 1 << 20;

export function dnsRoutes(app: FastifyInstance, parts: DnsRoutesParts): void {
  const { directory, responder, placements, queryLog, forwarders, engines } = parts;
  app.get<{ Querystring: { network?: string; name?: string; type?: string } }>('/dns/query', ({ query }) =>
    explain(directory, responder, query.network ?? '', query.name ?? '', query.type ?? 'A'),
  );
  app.get<{ Querystring: { network?: string } }>('/dns/names', ({ query }) => {
    const networks = query.network === undefined ? directory.networks() : [findNetwork(directory, query.network)];
    return networks.flatMap(({ network, zone }) =>
      [...zone.owners()].flatMap(([name, sets]) =>
        [...sets.values()].flatMap(({ type, records }) =>
          records.map(({ rdata, source }) => ({
            network: directory.nameOf(network.networkId) ?? network.networkId.slice(0, 12),
            name,
            type: typeName(type),
            data: formatRdata(type, rdata, 0, rdata.length) ?? '',
            source: source.reason,
            container: source.container ?? '',
          })),
        ),
      ),
    );
  });
  app.get('/dns/status', () => ({
    places: placements.status(),
    engines: engines.map(({ socketPath, connected }) => ({ socketPath, connected })),
    upstreams: forwarders.all().flatMap(({ groups }) =>
      groups.flatMap(({ domain, group }) =>
        group.upstreams.map(({ address, srttMs, isDown, loops, counts }) => ({
          domain: domain === '' ? '.' : domain,
          server: address.text,
          state: loops ? 'loop' : isDown ? 'silent' : 'ok',
          rttMs: Math.round(srttMs * 10) / 10,
          ...counts,
        })),
      ),
    ),
  }));
  // One JSON object per line, until the client leaves.
  app.get('/dns/log', (request, reply) => {
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, { 'content-type': 'application/x-ndjson' });
    raw.flushHeaders();
    const end = queryLog.subscribe((entry: QueryLogEntry) => {
      if (raw.writableLength < maxUnreadBytes) raw.write(`${JSON.stringify(entry)}\n`);
    });
    request.raw.on('close', end);
  });
}
