/** Names of servers become addresses at each mount, as a moved server has a new one; in a child, which a dead resolver cannot keep. */
import { isIP } from 'node:net';
import { CommandError } from '../linux/command.ts';
import { type MountSpec, runBounded } from '../linux/mount.ts';
import { PluginError } from '../sdk/errors.ts';
import type { Budget } from './backend.ts';
import { findMountOption, formatMountOptions, parseMountOptions, withoutMountOptions } from './mount-options.ts';

/** All addresses of a name or address, in the resolver's order. Throws VOL_SERVER. */
export async function resolveServer(name: string, budget: Budget): Promise<readonly string[]> {
  if (isIP(name) !== 0) return [name];
  try {
    const { stdout } = await runBounded('getent', ['ahosts', '--', name], {
      timeoutMs: budget.left(),
      signal: budget.signal,
    });
    const addresses = stdout.split('\n').flatMap((line) => line.split(/\s+/)[0] ?? []);
    return [...new Set(addresses.filter((address) => isIP(address) !== 0))];
  } catch (error) {
    const known = error instanceof CommandError && error.exitCode === 2;
    throw new PluginError('VOL_SERVER', `server name "${name}" cannot be resolved${known ? '' : ' in time'}`, {
      cause: error,
    });
  }
}

/**
 * mount(2) wants `addr=` as an address for NFS and CIFS; the helpers that we do not use would fill it in. As Docker's local
 * driver does it (moby volume/local/local_unix.go, getMountOptions).
 */
export async function resolveMountAddress(spec: MountSpec, budget: Budget): Promise<MountSpec> {
  if (!/^(nfs4?|cifs|smb3)$/.test(spec.fsType ?? '')) return spec;
  const options = parseMountOptions(spec.options ?? '');
  const host = findMountOption(options, 'addr') ?? hostOf(spec);
  if (host === undefined || isIP(host) !== 0) {
    return host === undefined || findMountOption(options, 'addr') !== undefined ? spec : withAddress(spec, host);
  }
  const [address] = await resolveServer(host, budget);
  if (address === undefined) throw new PluginError('VOL_SERVER', `server name "${host}" has no address`);
  return withAddress(spec, address);
}

function withAddress(spec: MountSpec, address: string): MountSpec {
  const options = withoutMountOptions(parseMountOptions(spec.options ?? ''), 'addr');
  return { ...spec, options: formatMountOptions([...options, { name: 'addr', value: address }]) };
}

/** `server:/path` and `//server/share`. */
function hostOf({ source }: MountSpec): string | undefined {
  return source.match(/^\/\/([^/]+)\//)?.[1] ?? source.match(/^\[([^\]]+)\]:/)?.[1] ?? source.match(/^([^/:]+):/)?.[1];
}
