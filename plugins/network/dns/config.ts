/** The part `dns` of cleat-networkd's configuration file: defaults for all networks, checked once. */
import { PluginError } from '../../sdk/errors.ts';
import type { ForwardRule } from './forwarder.ts';
import { findName, parseServers } from './options.ts';
import { resolvConfPath } from './resolv-conf.ts';
import type { ServerAddress } from './server-address.ts';

export interface DnsConfig {
  /** Empty: those of resolv.conf. */
  readonly upstreams: readonly ServerAddress[];
  readonly split: readonly ForwardRule[];
  readonly resolvConf: string;
  readonly cacheBytes: number;
  readonly pendingPerClient: number;
  readonly pendingInAll: number;
}

/** Throws DNS_CONFIG. */
export function readDnsConfig(value: unknown): DnsConfig {
  const given = value ?? {};
  if (typeof given !== 'object' || Array.isArray(given)) throw wrong('dns', 'an object');
  const config = given as Readonly<Record<string, unknown>>;
  const known = new Set([
    'engines',
    'upstreams',
    'forward',
    'resolvConf',
    'cacheBytes',
    'pendingPerClient',
    'pendingInAll',
  ]);
  for (const name of Object.keys(config))
    if (!known.has(name)) throw wrong(`dns.${name}`, `one of ${[...known].join(', ')}`);
  return {
    upstreams: parseServers((texts(config, 'upstreams') ?? []).join(',')),
    split: splitRules(config['forward']),
    resolvConf: texts(config, 'resolvConf')?.[0] ?? resolvConfPath,
    cacheBytes: count(config, 'cacheBytes', 8 << 20),
    pendingPerClient: count(config, 'pendingPerClient', 200),
    pendingInAll: count(config, 'pendingInAll', 4000),
  };
}

function texts(config: Readonly<Record<string, unknown>>, name: string): readonly string[] | undefined {
  const value = config[name];
  if (value === undefined) return undefined;
  const list = Array.isArray(value) ? value : [value];
  if (!list.every((one) => typeof one === 'string')) throw wrong(`dns.${name}`, 'a text or a list of texts');
  return list;
}

function count(config: Readonly<Record<string, unknown>>, name: string, otherwise: number): number {
  const value = config[name] ?? otherwise;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) throw wrong(`dns.${name}`, 'a whole number');
  return value;
}

/** `{ "corp.example": ["192.0.2.53"] }` */
function splitRules(value: unknown): ForwardRule[] {
  if (value === undefined) return [];
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong('dns.forward', 'an object of domains and servers');
  return Object.entries(value).map(([domain, servers]) => {
    const name = findName(domain);
    if (name === undefined) throw wrong(`dns.forward.${domain}`, 'a domain name');
    return { domain: name, servers: parseServers((texts({ servers }, 'servers') ?? []).join(',')) };
  });
}

function wrong(where: string, expected: string): PluginError {
  return new PluginError('DNS_CONFIG', `configuration: ${where} must be ${expected}`);
}
