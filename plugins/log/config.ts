/** The daemon's own configuration: /etc/cleat/logd.json. */
import { statfsSync } from 'node:fs';
import { duration, list } from '../sdk/option-kinds.ts';
import { parseOptions } from '../sdk/options.ts';
import { decimalSize } from './decimal-size.ts';

export interface LogConfig {
  /** All logs of this host together. */
  readonly maxTotalBytes: number;
  /** API sockets of the engines whose removed containers' logs are deleted. */
  readonly engines: readonly string[];
  readonly enginePollMs: number;
  /** How long the log of a removed container is kept. */
  readonly keepRemovedMs: number;
}

const schema = {
  maxTotalSize: decimalSize('max-total-size'),
  engines: list('engines', { item: /^\//, expected: 'absolute paths of API sockets' }),
  enginePoll: duration('engine-poll', { min: 1000, max: 86_400_000, otherwise: 60_000 }),
  keepRemoved: duration('keep-removed', { min: 0, max: 365 * 86_400_000, otherwise: 0 }),
};

const largestDefault = 10_000_000_000;
const shareOfDisk = 0.1;

/** Throws PROTO_OPTION and PROTO_OPTION_UNKNOWN. `folder` is on the file system that the default depends on. */
export function parseLogConfig(config: Readonly<Record<string, unknown>>, folder: string): LogConfig {
  const set = Object.entries(config).filter(([, value]) => !Array.isArray(value) || value.length > 0);
  const given = set.map(([name, value]): [string, string] => [
    name,
    Array.isArray(value) ? value.join(',') : String(value),
  ]);
  const values = parseOptions(schema, Object.fromEntries(given), { driver: 'cleat-logd configuration' });
  return {
    maxTotalBytes: values.maxTotalSize ?? defaultTotal(folder),
    engines: 'engines' in config ? values.engines : ['/run/docker.sock'],
    enginePollMs: values.enginePoll,
    keepRemovedMs: values.keepRemoved,
  };
}

function defaultTotal(folder: string): number {
  const { bsize, blocks } = statfsSync(folder);
  return Math.min(largestDefault, Math.floor(bsize * blocks * shareOfDisk));
}
