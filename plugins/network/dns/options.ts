/** The options of a network and of an endpoint that the DNS server reads; every driver of ours takes them. */
import {
  choice,
  custom,
  findDurationMs,
  flag,
  list,
  type OptionSchema,
  type OptionValues,
  parseOptions,
  prefixed,
} from '../../sdk/index.ts';
import { findWire, nameToWire } from './name.ts';
import { parseRecord, type RecordData } from './rdata.ts';
import { parseServerAddress, type ServerAddress } from './server-address.ts';

/** Where a network's names are answered. */
export const placements = ['sandbox', 'gateway', 'off'] as const;
export type Placement = (typeof placements)[number];

const nameList = { item: /^\S+$/, expected: 'names with commas between them' } as const;
/** `5`, `5s`, `2m`: seconds. */
const seconds = {
  expected: 'a time such as 5 (seconds), 30s or 5m, up to a day',
  find: (text: string): number | undefined => {
    const ms = /^\d+$/.test(text) ? Number(text) * 1000 : findDurationMs(text);
    return ms === undefined || ms > 86_400_000 ? undefined : Math.round(ms / 1000);
  },
};

function servers(names: string) {
  return custom(
    names,
    { expected: 'addresses of DNS servers with commas between them', find: parseServers },
    { otherwise: [] as readonly ServerAddress[] },
  );
}

export function parseServers(text: string): readonly ServerAddress[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')
    .map(parseServerAddress);
}

/** Records of one name, `;` between them; the name itself is checked when the network is read. */
function parseRecords(text: string): readonly RecordData[] {
  return text
    .split(';')
    .filter((one) => one.trim() !== '')
    .map((one) => parseRecord(one, 'cleat.dns.record'));
}

export const dnsNetworkSchema = {
  placement: choice('cleat.dns', placements, { otherwise: 'sandbox' }),
  domain: custom('cleat.dns.domain', { expected: 'a domain name', find: findName }),
  search: list('cleat.dns.search', nameList),
  suffixes: list('cleat.dns.suffix', nameList),
  ttl: custom('cleat.dns.ttl', seconds, { otherwise: 5 }),
  negativeTtl: custom('cleat.dns.negative-ttl', seconds, { otherwise: 2 }),
  upstreams: servers('cleat.dns.upstream'),
  split: prefixed('cleat.dns.forward.', servers),
  records: prefixed('cleat.dns.record.', (name) =>
    custom(name, {
      expected: 'records with semicolons between them, like "A 192.0.2.7; A 192.0.2.8"',
      find: parseRecords,
    }),
  ),
  health: choice('cleat.dns.health', ['on', 'off'], { otherwise: 'on' }),
  localFirst: flag('cleat.dns.local-first', { otherwise: false }),
  singleLabels: choice('cleat.dns.single-label', ['local', 'forward'], { otherwise: 'local' }),
  external: choice('cleat.dns.external', ['auto', 'on', 'off'], { otherwise: 'auto' }),
} satisfies OptionSchema;

export type DnsNetworkOptions = OptionValues<typeof dnsNetworkSchema>;

export const dnsEndpointSchema = {
  aliases: list('cleat.alias', nameList),
  // The second is netlabel.EndpointName, which engines after 29 may send to network drivers too.
  name: custom(['cleat.name', 'com.docker.network.endpoint.name'], { expected: 'a container name', find: findName }),
  /** Given by engines that know it: the container's id. */
  containerId: custom('cleat.container-id', {
    expected: 'a container id',
    find: (text) => (/^[0-9a-f]{12,64}$/.test(text) ? text : undefined),
  }),
} satisfies OptionSchema;

/** For a driver: the options that it lets through to us, and refuses when they are wrong. */
export const dnsServiceOptions = { network: dnsNetworkSchema, endpoint: dnsEndpointSchema };

export type DnsEndpointOptions = OptionValues<typeof dnsEndpointSchema>;

/** Of all options of a network, those of DNS; the driver has checked them when the network was made. */
export function readNetworkOptions(given: Readonly<Record<string, string>>): DnsNetworkOptions {
  const own = Object.entries(given).filter(([name]) => name === 'cleat.dns' || name.startsWith('cleat.dns.'));
  const options = parseOptions(dnsNetworkSchema, Object.fromEntries(own), { driver: 'dns' });
  for (const name of Object.keys(options.records)) nameToWire(name);
  return options;
}

export function readEndpointOptions(given: Readonly<Record<string, string>>): DnsEndpointOptions {
  const names: ReadonlySet<string> = new Set(Object.values(dnsEndpointSchema).flatMap((option) => option.names));
  const own = Object.entries(given).filter(([name]) => names.has(name));
  return parseOptions(dnsEndpointSchema, Object.fromEntries(own), { driver: 'dns endpoint' });
}

/** Lower case without a final dot, or undefined when it is no name. */
export function findName(text: string): string | undefined {
  const name = text.trim().toLowerCase().replace(/\.$/, '');
  return name === '' || findWire(name) === undefined ? undefined : name;
}
