/**
 * The host's resolver configuration: which servers it asks and which domains it searches (resolv.conf(5)), followed when the file
 * changes. Where the file points to systemd-resolved's stub (127.0.0.53), the servers behind the stub are read from
 * resolved's own list, so that a query takes one hop less; a stub without such a list is asked as it is.
 */
import { type FSWatcher, readFileSync, unwatchFile, watch, watchFile } from 'node:fs';
import { basename, dirname } from 'node:path';
import { findIp } from '../address/ip.ts';

export interface ResolvConf {
  /** Addresses, `%interface` kept for link-local ones. */
  readonly servers: readonly string[];
  /** Lower case, without final dots. */
  readonly search: readonly string[];
}

export const resolvConfPath = '/etc/resolv.conf';
const resolvedPath = '/run/systemd/resolve/resolv.conf';
const stubAddresses: ReadonlySet<string> = new Set(['127.0.0.53', '127.0.0.54']);

export function parseResolvConf(text: string): ResolvConf {
  const servers: string[] = [];
  let search: string[] = [];
  for (const raw of text.split('\n')) {
    const [keyword, ...values] = raw
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    const address = values[0] ?? '';
    if (keyword === 'nameserver' && findIp(address.replace(/%.*$/, '')) !== undefined) servers.push(address);
    // resolv.conf(5): domain and search exclude each other, the last one counts.
    if (keyword === 'search' || keyword === 'domain') {
      search = values.map((value) => value.toLowerCase().replace(/\.$/, '')).filter((value) => value !== '');
    }
  }
  return { servers: [...new Set(servers)], search };
}

/** What the host uses now; nothing when the file is missing. */
export function readResolvConf(path = resolvConfPath, behindStub = resolvedPath): ResolvConf {
  const conf = readOne(path);
  if (conf.servers.length === 0 || !conf.servers.every((server) => stubAddresses.has(server))) return conf;
  const real = readOne(behindStub);
  return real.servers.length > 0 ? { servers: real.servers, search: conf.search } : conf;
}

function readOne(path: string): ResolvConf {
  try {
    return parseResolvConf(readFileSync(path, 'utf8'));
  } catch {
    return { servers: [], search: [] };
  }
}

/** Calls back with each new content. Follows replacement by rename and symbolic links; ends with close(). */
export function followResolvConf(
  onChange: (conf: ResolvConf) => void,
  path = resolvConfPath,
  behindStub = resolvedPath,
): { close(): void } {
  let last = JSON.stringify(readResolvConf(path, behindStub));
  const look = (): void => {
    const conf = readResolvConf(path, behindStub);
    const text = JSON.stringify(conf);
    if (text === last) return;
    last = text;
    onChange(conf);
  };
  // inotify tells of changes in the folder at once; the slow look catches what a bind mount or a link hides from it.
  const watchers: FSWatcher[] = [];
  for (const file of [path, behindStub]) {
    watchFile(file, { interval: 5000, persistent: false }, look);
    try {
      const watcher = watch(dirname(file), { persistent: false }, (_event, name) => {
        if (name === null || name === basename(file)) look();
      });
      watcher.on('error', () => watcher.close());
      watchers.push(watcher);
    } catch {
      // The folder does not exist (no systemd-resolved here).
    }
  }
  return {
    close() {
      for (const watcher of watchers) watcher.close();
      for (const file of [path, behindStub]) unwatchFile(file, look);
    },
  };
}
