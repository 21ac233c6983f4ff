/** Which engines of the host are watched: the key "engines" of the daemon's configuration. */
import { PluginError } from '../../sdk/errors.ts';

const usualSockets: readonly string[] = ['/run/docker.sock', '/run/podman/podman.sock', '/run/cleat/docker.sock'];

/** Paths of API sockets; one that does not exist yet is waited for. An empty list watches none. Throws PROTO_OPTION. */
export function parseEngineSockets(value: unknown): readonly string[] {
  if (value === undefined) return usualSockets;
  if (Array.isArray(value) && value.every((item) => typeof item === 'string' && item.startsWith('/'))) return value;
  throw new PluginError('PROTO_OPTION', 'configuration: "engines" must be a list of absolute socket paths', {
    hint: `such as ${JSON.stringify(usualSockets)}`,
  });
}
