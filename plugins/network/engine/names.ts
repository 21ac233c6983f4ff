/** What the engines of the host call the things that drivers know by ID; for messages and lists. */
import type { EngineWatch } from './watch.ts';

export interface EngineNames {
  /** Name of the container that has the endpoint; undefined when no engine told it (yet). */
  container(endpointId: string): string | undefined;
  network(networkId: string): string | undefined;
}

/** Looks through what is known now: for the few names of a message, or once for a whole list. */
export function engineNames(engines: readonly EngineWatch[]): EngineNames {
  const containers = new Map<string, string>();
  const networks = new Map<string, string>();
  for (const engine of engines) {
    for (const { id, name } of engine.networks()) networks.set(id, name);
    for (const { name, networks: attached } of engine.containers()) {
      for (const { endpointId } of attached) if (endpointId !== '') containers.set(endpointId, name);
    }
  }
  return { container: (id) => containers.get(id), network: (id) => networks.get(id) };
}
