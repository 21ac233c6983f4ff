/** Child of bench `dns`: the server's directory with many names in one network; tells its resident memory before and after. */

import { encode } from 'dns-packet';
import pino from 'pino';
import { Directory } from '../../../plugins/network/dns/directory.ts';
import { Forwarders } from '../../../plugins/network/dns/forwarders.ts';
import { QueryLog } from '../../../plugins/network/dns/query-log.ts';
import { Responder } from '../../../plugins/network/dns/responder.ts';
import { NetworkRegistry } from '../../../plugins/network/registry.ts';

const count = Number(process.argv[2]);
const log = pino({ level: 'silent' });
const registry = new NetworkRegistry();
const responder = new Responder(new QueryLog(), () => 0);
const conf = { servers: [], search: [] };
const forwarders = new Forwarders(
  { log, responder, now: () => 0, cacheBytes: 8 << 20, configured: [], split: [] },
  conf,
);
const directory = new Directory({ registry, engines: [], forwarders, log }, conf);
const networkId = 'n'.repeat(64);
registry.putNetwork({
  networkId,
  driver: 'cleat-bridge',
  options: {},
  internal: false,
  pools: [{ pool: '10.0.0.0/8' }],
});

function resident(): number {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}

process.send?.(resident());
for (let i = 0; i < count; i++) {
  const endpointId = String(i).padStart(64, '0');
  const addresses = [`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`];
  registry.putEndpoint({ networkId, endpointId, state: 'joined', addresses, options: { 'cleat.name': `name${i}` } });
}
const view = directory.viewOf([networkId]);
for (let i = 0; i < count; i++) {
  const message = encode({ type: 'query', id: 1, questions: [{ type: 'A', name: `name${i}` }] });
  let addresses = 0;
  responder.respond(message, { view, transport: 'udp', client: { pending: 0 }, address: '', port: 0 }, (reply) => {
    addresses = reply[7] ?? 0;
  });
  if (addresses !== 1) throw new Error(`name${i} is not answered`);
}
process.send?.(resident());
// Keeps all of it reachable.
setInterval(() => directory.viewOf([networkId]), 1 << 30);
