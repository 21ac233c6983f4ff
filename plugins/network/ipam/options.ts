/** What users set: `--ipam-opt` for one network, the section "ipam" of the daemon's configuration for all. */
import { PluginError } from '../../sdk/errors.ts';
import { duration, flag, integer, text } from '../../sdk/option-kinds.ts';
import { parseOptions } from '../../sdk/options.ts';
import { type Cidr, findCidr, formatCidr } from '../address/cidr.ts';
import { addressBits } from '../address/ip.ts';
import type { DefaultPool } from './default-pools.ts';

const year = 365 * 24 * 3_600_000;

const poolSchema = {
  quarantineMs: duration('cleat.quarantine', { min: 0, max: year }),
  stickyMs: duration('cleat.sticky', { min: 0, max: year }),
  warnPercent: integer('cleat.warn', { min: 1, max: 100 }),
  size: integer('cleat.size', { min: 8, max: 30 }),
  size6: integer('cleat.size6', { min: 16, max: 126 }),
  network: text('cleat.network'),
};

/** `--ipam-opt`; absent values follow the configuration. */
export interface PoolOptions {
  readonly quarantineMs?: number | undefined;
  readonly stickyMs?: number | undefined;
  readonly warnPercent?: number | undefined;
  /** Prefix length of a pool chosen here, IPv4 and IPv6. */
  readonly size?: number | undefined;
  readonly size6?: number | undefined;
  /** Of an overlay network over hosts: only this host's share of the subnet is given. */
  readonly network?: string | undefined;
}

/** Throws PROTO_OPTION and PROTO_OPTION_UNKNOWN. */
export function parsePoolOptions(given: Readonly<Record<string, string>>): PoolOptions {
  return parseOptions(poolSchema, given, { driver: 'cleat-ipam' });
}

export interface IpamConfig {
  readonly quarantineMs: number;
  readonly stickyMs: number;
  readonly warnPercent: number;
  /** How long an allocation or a pool must be without an owner before it is freed. */
  readonly graceMs: number;
  readonly requireMac: boolean;
  readonly requestReplay: boolean;
  /** IPv4 and IPv6; without any IPv6 range the host's own unique local one is used. */
  readonly defaultPools: readonly DefaultPool[];
}

const configSchema = {
  quarantineMs: duration('quarantine', { min: 0, max: year, otherwise: 120_000 }),
  stickyMs: duration('sticky', { min: 0, max: year, otherwise: 7 * 24 * 3_600_000 }),
  warnPercent: integer('warn-percent', { min: 1, max: 100, otherwise: 90 }),
  graceMs: duration('grace', { min: 1000, max: year, otherwise: 60_000 }),
  requireMac: flag('require-mac', { otherwise: false }),
  requestReplay: flag('request-replay', { otherwise: false }),
};

/**
 * Small blocks out of parts of the private ranges (RFC 1918) that neither Docker's own default pools nor home routers and
 * office networks usually take.
 */
const builtInPools: readonly DefaultPool[] = (
  [
    ['172.28.0.0/14', 26],
    ['10.200.0.0/13', 26],
    ['192.168.192.0/18', 26],
  ] as const
).map(([base, size]) => ({ base: findCidr(base)!, size }));

/** The section as parsed JSON; undefined gives the defaults. Throws IPAM_CONFIG, PROTO_OPTION and PROTO_OPTION_UNKNOWN. */
export function parseIpamConfig(section: unknown): IpamConfig {
  if (section !== undefined && !isObject(section)) throw wrongConfig('"ipam" must be an object');
  const { 'default-address-pools': pools, ...rest } = section ?? {};
  const given = Object.entries(rest).map(([name, value]): [string, string] => [name, scalarText(name, value)]);
  const defaultPools = pools === undefined ? [] : parseDefaultPools(pools);
  // Like Docker's: giving one family does not take away the other one's defaults.
  const missing = builtInPools.filter((pool) => !defaultPools.some(({ base }) => base.family === pool.base.family));
  return {
    ...parseOptions(configSchema, Object.fromEntries(given), { driver: 'configuration "ipam"' }),
    defaultPools: [...defaultPools, ...missing],
  };
}

function parseDefaultPools(value: unknown): DefaultPool[] {
  if (!Array.isArray(value)) throw wrongConfig('"default-address-pools" must be a list of {"base", "size"}');
  return value.map((item: unknown) => {
    const { base: baseText, size, ...rest } = isObject(item) ? item : {};
    const base = typeof baseText === 'string' ? findCidr(baseText) : undefined;
    const shown = JSON.stringify(item);
    if (base === undefined || Object.keys(rest).length > 0) {
      throw wrongConfig(`"default-address-pools" has ${shown}`, 'give {"base": "10.200.0.0/16", "size": 26}');
    }
    const longest = addressBits[base.family] - 2;
    if (!Number.isInteger(size) || Number(size) < base.prefix || Number(size) > longest) {
      throw wrongConfig(
        `"default-address-pools" has ${shown}`,
        `the size of blocks from ${formatCidr(base)} is a prefix length from ${base.prefix} to ${longest}`,
      );
    }
    return { base: checkedBase(base), size: Number(size) };
  });
}

function checkedBase(base: Cidr): Cidr {
  if (base.prefix === 0) throw wrongConfig(`"default-address-pools" has the base ${formatCidr(base)}`);
  return base;
}

function scalarText(name: string, value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw wrongConfig(`"${name}" must be a text, a number or true or false`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrongConfig(message: string, hint?: string): PluginError {
  return new PluginError('IPAM_CONFIG', `configuration: ${message}`, hint === undefined ? {} : { hint });
}
