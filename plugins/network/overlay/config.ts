/** The part `overlay` of cleat-networkd's configuration file. Secrets are only ever here and in memory. */
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { PluginError } from '../../sdk/errors.ts';
import { choice, duration, integer, ip, list, type OptionSchema, parseOptions, text } from '../../sdk/index.ts';
import type { Scope } from '../../sdk/network-plugin.ts';
import { type EtcdConfig, readEtcdConfig } from './etcd/config.ts';

export interface OverlayConfig {
  /** Shared by all hosts; without it no network with other hosts is made. */
  readonly secret?: string;
  /** This host among the peers; default: the one of them that an interface of the host has. */
  readonly address?: string;
  /** The interface with that address, in its place. */
  readonly underlay?: string;
  readonly peers: readonly string[];
  /** The store, instead of peers. */
  readonly etcd?: EtcdConfig;
  /** Into how many parts subnets are cut at least, for hosts to come. */
  readonly shares: number;
  /** global: networks are a swarm's, made by its managers. */
  readonly scope: Scope;
  /** TCP, where the daemons talk to each other. */
  readonly port: number;
  /** UDP, of the encrypted way between the hosts; the one behind it too. */
  readonly tunnelPort: number;
  /** How old the keys of the encrypted way become. */
  readonly rotateMs: number;
  /** How long what a host said is held true after it was last heard. */
  readonly leaseMs: number;
}

const leastSecret = 16;

const schema = {
  secret: text('secret'),
  secretFile: text('secretFile'),
  address: ip('address'),
  underlay: text('underlay'),
  peers: list('peers', { item: 'ip' }),
  shares: integer('shares', { min: 1, max: 65_536, otherwise: 1 }),
  scope: choice('scope', ['local', 'global'], { otherwise: 'local' }),
  port: integer('port', { min: 1, max: 65_535, otherwise: 4788 }),
  tunnelPort: integer('tunnelPort', { min: 1, max: 65_534, otherwise: 4786 }),
  rotateMs: duration('keyRotation', { min: 5000, max: 365 * 24 * 3_600_000, otherwise: 12 * 3_600_000 }),
  leaseMs: duration('lease', { min: 2000, max: 24 * 3_600_000, otherwise: 30_000 }),
} satisfies OptionSchema;

/** Throws NET_OVERLAY_CONFIG, never with the secret in its text. */
export function readOverlayConfig(section: unknown): OverlayConfig {
  if (section !== undefined && (typeof section !== 'object' || section === null || Array.isArray(section)))
    throw wrong('"overlay" must be an object');
  const { etcd: etcdSection, ...flat } = (section ?? {}) as { readonly etcd?: unknown };
  const etcd = etcdSection === undefined ? undefined : readEtcdConfig(etcdSection);
  const given = Object.entries(flat).map(([name, value]): [string, string] => {
    const items = Array.isArray(value) ? value : [value];
    if (!items.every((item) => typeof item === 'string' || typeof item === 'number'))
      throw wrong(`"overlay.${name}" must be a text, a number or a list of addresses`);
    return [name, items.join(',')];
  });
  const {
    secret: written,
    secretFile,
    address,
    underlay,
    peers,
    shares,
    scope,
    port,
    tunnelPort,
    rotateMs,
    leaseMs,
  } = parseOptions(schema, Object.fromEntries(given), {
    driver: 'configuration "overlay"',
  });
  if (written !== undefined && secretFile !== undefined) throw wrong('"overlay" has both "secret" and "secretFile"');
  const secret = secretFile === undefined ? written : readSecret(secretFile);
  if (secret !== undefined && secret.length < leastSecret)
    throw wrong(`the secret of "overlay" must have at least ${leastSecret} characters`);
  if (address !== undefined && isIP(address) === 0) throw wrong(`"overlay.address" is no address`);
  if (address !== undefined && underlay !== undefined) throw wrong('"overlay" has both "address" and "underlay"');
  if (etcd !== undefined && peers.length > 0)
    throw wrong('"overlay" has both "etcd" and "peers": hosts are known by one of them');
  return {
    peers,
    shares,
    scope,
    port,
    tunnelPort,
    rotateMs,
    leaseMs,
    ...(etcd !== undefined && { etcd }),
    ...(secret !== undefined && { secret }),
    ...(address !== undefined && { address }),
    ...(underlay !== undefined && { underlay }),
  };
}

function readSecret(path: string): string {
  let content: string;
  try {
    content = readFileSync(path, 'utf8').trim();
  } catch (error) {
    throw wrong(`the file ${path} of "overlay.secretFile" cannot be read: ${(error as Error).message}`);
  }
  // Who can read it is a host of every network.
  if ((statSync(path).mode & 0o077) !== 0)
    throw wrong(`the file ${path} of "overlay.secretFile" can be read by others: chmod 600 it`);
  return content;
}

function wrong(message: string): PluginError {
  return new PluginError('NET_OVERLAY_CONFIG', `configuration: ${message}`, {
    hint: 'see the manual page of cleat-overlay',
  });
}
