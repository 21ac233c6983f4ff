/**
 * One forwarder for each different set of upstreams: networks without servers of their own share the one of the host's
 * resolv.conf, and with it its cache. New servers make a new forwarder; questions under way end on the old one.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { Forwarder, type ForwardRule } from './forwarder.ts';
import type { DnsNetworkOptions } from './options.ts';
import { writeOwnQuery } from './own-query.ts';
import type { ResolvConf } from './resolv-conf.ts';
import type { Responder } from './responder.ts';
import { parseServerAddress, type ServerAddress } from './server-address.ts';
import type { Upstream } from './upstream.ts';
import { types } from './wire.ts';

/** An old forwarder is kept for the questions that are on their way: longer than any may take. */
const lingerMs = 6000;

export interface ForwardersParts {
  readonly log: Logger;
  readonly responder: Responder;
  readonly now: () => number;
  readonly cacheBytes: number;
  /** Servers of the configuration file; they go before resolv.conf. */
  readonly configured: readonly ServerAddress[];
  readonly split: readonly ForwardRule[];
}

export class Forwarders {
  #parts: ForwardersParts;
  #host: readonly ServerAddress[] = [];
  readonly #known = new Map<string, Forwarder>();

  constructor(parts: ForwardersParts, conf: ResolvConf) {
    this.#parts = parts;
    this.setHost(conf);
  }

  /** The host's servers are these now. Afterwards each view asks for its forwarder again. */
  setHost(conf: ResolvConf): void {
    this.#host = this.#usable(conf.servers, 'resolv.conf');
  }

  /** The configuration file has other servers. Afterwards each view asks for its forwarder again. */
  setConfigured(configured: readonly ServerAddress[], split: readonly ForwardRule[]): void {
    this.#parts = { ...this.#parts, configured, split };
  }

  /** `leased`: the name servers that the LAN gave with the network's addresses; the network's own options go before them. */
  for(options: Pick<DnsNetworkOptions, 'upstreams' | 'split'>, leased: readonly string[] = []): Forwarder {
    const { configured, split } = this.#parts;
    const ofLan = this.#usable(leased, 'a lease');
    const general = [options.upstreams, ofLan, configured].find((servers) => servers.length > 0) ?? this.#host;
    const own = Object.entries(options.split).map(([domain, servers]) => ({ domain: domain.toLowerCase(), servers }));
    const rules: ForwardRule[] = [
      ...own,
      ...split.filter((rule) => !own.some(({ domain }) => domain === rule.domain)),
      { domain: '', servers: general },
    ];
    const key = JSON.stringify(rules.map(({ domain, servers }) => [domain, servers.map((server) => server.text)]));
    let forwarder = this.#known.get(key);
    if (forwarder === undefined) {
      forwarder = new Forwarder(rules, this.#parts.now, {
        maxBytes: this.#parts.cacheBytes,
        maxTtl: 86_400,
        maxNegativeTtl: 3600,
      });
      this.#known.set(key, forwarder);
      for (const { group } of forwarder.groups) for (const upstream of group.upstreams) this.#probe(upstream);
    }
    return forwarder;
  }

  /** Drops what no view uses any more. */
  keepOnly(used: ReadonlySet<Forwarder>): void {
    for (const [key, forwarder] of this.#known) {
      if (used.has(forwarder)) continue;
      this.#known.delete(key);
      setTimeout(() => forwarder.close(), lingerMs).unref();
    }
  }

  all(): Forwarder[] {
    return [...this.#known.values()];
  }

  close(): void {
    for (const forwarder of this.#known.values()) forwarder.close();
    this.#known.clear();
  }

  #usable(servers: readonly string[], source: string): ServerAddress[] {
    return servers.flatMap((text) => {
      try {
        return [parseServerAddress(text)];
      } catch (error) {
        this.#parts.log.warn({ err: error }, `a server of ${source} cannot be used`);
        return [];
      }
    });
  }

  /** A question for a name that nobody else can know: an upstream from which it comes back to us would send all of them back. */
  #probe(upstream: Upstream): void {
    if (upstream.address.tcp) return;
    const name = `${randomBytes(8).toString('hex')}.loop.cleat.invalid`;
    const forget = this.#parts.responder.expectProbe(name, () => {
      upstream.loops = true;
      this.#parts.log.warn(
        { upstream: upstream.address.text },
        'this upstream sends our questions back to us; it is not asked any more',
      );
      forget();
    });
    try {
      const query = writeOwnQuery(name, types.A);
      const cancel = upstream.send(query, query.length, () => cancel());
      setTimeout(() => {
        cancel();
        forget();
      }, lingerMs).unref();
    } catch (error) {
      forget();
      this.#parts.log.debug({ err: error, upstream: upstream.address.text }, 'there is no way to this upstream now');
    }
  }
}
