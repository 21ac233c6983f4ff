/** `overlay.etcd` of the configuration: where the store is, and who we are to it. Secrets come from files only. */
import { readFileSync, statSync } from 'node:fs';
import { PluginError } from '../../../sdk/errors.ts';
import { duration, list, type OptionSchema, parseOptions, text } from '../../../sdk/index.ts';

export interface EtcdConfig {
  /** URLs of members: `https://etcd1.example.org:2379`. */
  readonly endpoints: readonly string[];
  /** Of all keys; ends with a slash. */
  readonly prefix: string;
  /** PEM texts. Without a CA, those that Node knows. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly user?: string;
  readonly password?: string;
  /** How long a host may be away before its addresses may be given to others. */
  readonly reclaimMs: number;
}

const schema = {
  endpoints: list('endpoints', {
    item: /^https?:\/\/[^/?#@\s]+\/?$/,
    expected: 'URLs such as https://etcd1.example.org:2379 with "," between them',
  }),
  prefix: text('prefix', {
    pattern: /^\/[\x21-\x7e]{0,200}$/,
    expected: 'a text that begins with "/"',
    otherwise: '/cleat/',
  }),
  ca: text('ca'),
  cert: text('cert'),
  key: text('key'),
  user: text('user'),
  passwordFile: text('passwordFile'),
  reclaimMs: duration('reclaim', { min: 5000, max: 365 * 24 * 3_600_000, otherwise: 24 * 3_600_000 }),
} satisfies OptionSchema;

/** Throws NET_OVERLAY_CONFIG, PROTO_OPTION and PROTO_OPTION_UNKNOWN, never with a secret in the text. */
export function readEtcdConfig(section: unknown): EtcdConfig {
  if (typeof section !== 'object' || section === null || Array.isArray(section))
    throw wrong('must be an object with "endpoints"');
  const given = Object.entries(section).map(([name, value]): [string, string] => {
    const items = Array.isArray(value) ? value : [value];
    if (!items.every((item) => typeof item === 'string')) throw wrong(`"${name}" must be a text or a list of texts`);
    return [name, items.join(',')];
  });
  const options = parseOptions(schema, Object.fromEntries(given), { driver: 'configuration "overlay.etcd"' });
  const { endpoints, ca, cert, key, user, passwordFile, reclaimMs } = options;
  if (endpoints.length === 0) throw wrong('has no "endpoints"');
  if ((cert === undefined) !== (key === undefined)) throw wrong('needs "cert" and "key" together');
  if ((user === undefined) !== (passwordFile === undefined)) throw wrong('needs "user" and "passwordFile" together');
  const tls = [ca, cert].some((file) => file !== undefined);
  const clear = endpoints.find((endpoint) => endpoint.startsWith('http:'));
  if (tls && clear !== undefined) throw wrong(`has certificates, but ${clear} is spoken to in clear: write https`);
  return {
    endpoints: endpoints.map((endpoint) => endpoint.replace(/\/$/, '')),
    prefix: options.prefix.endsWith('/') ? options.prefix : `${options.prefix}/`,
    reclaimMs,
    ...(ca !== undefined && { ca: readPem('ca', ca) }),
    ...(cert !== undefined && { cert: readPem('cert', cert) }),
    ...(key !== undefined && { key: readSecret('key', key) }),
    ...(user !== undefined && { user }),
    ...(passwordFile !== undefined && { password: readSecret('passwordFile', passwordFile).trim() }),
  };
}

function readPem(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw wrong(`the file ${path} of "${name}" cannot be read: ${(error as Error).message}`);
  }
}

/** Nobody else on the host may read it: who can, can change every network of every host. */
function readSecret(name: string, path: string): string {
  const content = readPem(name, path);
  if ((statSync(path).mode & 0o077) !== 0)
    throw wrong(`the file ${path} of "${name}" can be read by others: chmod 600 it`);
  return content;
}

function wrong(message: string): PluginError {
  return new PluginError('NET_OVERLAY_CONFIG', `configuration: "overlay.etcd" ${message}`, {
    hint: 'see the manual page of cleat-overlay, "With etcd"',
  });
}
