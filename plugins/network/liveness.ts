/**
 * Whether the sandbox of an endpoint is still lived in. Engines give up after 15 s when a plugin is down, forget the endpoint
 * and may leave its empty sandbox behind for ever; its ports and addresses must not be lost with it.
 */
import { existsSync } from 'node:fs';
import { netnsHasProcesses } from '../linux/netns-users.ts';
import type { EngineWatch } from './engine/watch.ts';
import type { RegistryEndpoint } from './registry.ts';

/** Between Join and the first process an engine of 20.10 mounts volumes and opens logs. */
const startMs = 15_000;

/**
 * True only when it is certain enough to give what the endpoint holds to another: its engine does not list it, and nothing
 * runs in its sandbox. An endpoint whose sandbox cannot be seen from here counts as alive.
 */
export function isAbandoned(endpoint: RegistryEndpoint, engines: readonly EngineWatch[], now: number): boolean {
  const { endpointId, state, sandboxKey, sandboxSeen, since } = endpoint;
  if (state !== 'joined' || sandboxKey === undefined) return false;
  // An engine takes a sandbox away only after it has left its networks. One never seen may be out of our sight.
  if (!existsSync(sandboxKey)) return sandboxSeen === true;
  if (since === undefined || now - since < startMs) return false;
  // What is known of an engine that is away may be what was before it ended.
  if (engines.some((engine) => engine.connected && lists(engine, endpointId))) return false;
  return !netnsHasProcesses(sandboxKey);
}

/** Nobody needs what it holds, so there is time: an engine gives a slow volume 120 s before the first process runs. */
const patienceMs = 150_000;

/** The same for clean-up without need: only where an engine is there to ask. */
export function isForgotten(endpoint: RegistryEndpoint, engines: readonly EngineWatch[], now: number): boolean {
  const old = endpoint.since !== undefined && now - endpoint.since > patienceMs;
  return old && engines.some(({ connected }) => connected) && isAbandoned(endpoint, engines, now);
}

function lists(engine: EngineWatch, endpointId: string): boolean {
  // A stopped container may go on showing its last endpoint.
  return engine
    .containers()
    .some(({ running, networks }) => running && networks.some((network) => network.endpointId === endpointId));
}
