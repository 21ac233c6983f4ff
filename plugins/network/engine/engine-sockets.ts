/** Which engines of the host are watched: the key "engines" of the daemon's configuration. */
import { join } from 'node:path';
import { PluginError } from '../../sdk/errors.ts';

/** Paths of API sockets; one that does not exist yet is waited for. An empty list watches none. Throws PROTO_OPTION. */
export function parseEngineSockets(value: unknown, runDir: string): readonly string[] {
  // Docker's, and the shim's.
  const usual = ['/run/docker.sock', join(runDir, 'docker.sock')];
  if (value === undefined) return usual;
  if (Array.isArray(value) && value.every((item) => typeof item === 'string' && item.startsWith('/'))) return value;
  throw new PluginError('PROTO_OPTION', 'configuration: "engines" must be a list of absolute socket paths', {
    hint: `such as ${JSON.stringify(usual)}`,
  });
}
