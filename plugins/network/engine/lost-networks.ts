/**
 * Networks that their engine has forgotten: it lost its state, or its DeleteNetwork met a daemon that was down, which the
 * engine only logs. Which engine has a network is learned from its own list and kept on disk; a network of an engine that is
 * not watched is never touched.
 */
import type { Logger } from 'pino';
import type { Store } from '../../store/store.ts';
import type { NetworkRegistry } from '../registry.ts';
import type { EngineWatch } from './watch.ts';

/** An engine that removes a network tells us so itself; only when that does not come, this does it. */
const graceMs = 10_000;

export interface LostNetworksParts {
  readonly engines: readonly EngineWatch[];
  readonly registry: NetworkRegistry;
  readonly store: Store;
  readonly log: Logger;
  /** Whether nobody lives behind an endpoint any more. */
  readonly isAbandoned: (endpointId: string) => boolean;
  /** Removes a network, and what is left of its endpoints, as if its engine had asked for it. */
  readonly remove: (networkId: string) => Promise<void>;
}

export function watchLostNetworks(parts: LostNetworksParts): { close(): Promise<void> } {
  const { engines, registry, store, log } = parts;
  /** networkId → socket of its engine. */
  const owners = store.table<{ readonly engine: string }>('engine.networks', { version: 1 });
  let looking: Promise<void> = Promise.resolve();
  let closed = false;
  const timers = new Set<NodeJS.Timeout>();

  const learn = (engine: EngineWatch) => {
    for (const { id } of engine.networks()) {
      if (registry.findNetwork(id) && !owners.has(id)) owners.put(id, { engine: engine.socketPath });
    }
  };
  const look = async (engine: EngineWatch) => {
    if (closed || !engine.connected) return;
    const there = new Set(engine.networks().map(({ id }) => id));
    let again = false;
    for (const [networkId, owner] of owners.entries()) {
      if (!registry.findNetwork(networkId)) owners.delete(networkId);
      else if (owner.engine === engine.socketPath && !there.has(networkId)) {
        if (registry.endpoints(networkId).every(({ endpointId }) => parts.isAbandoned(endpointId))) {
          log.info(
            { network: networkId, engine: engine.socketPath },
            'a network that its engine has forgotten was removed',
          );
          await parts.remove(networkId);
          owners.delete(networkId);
        } else again = true;
      }
    }
    // Somebody still lives there: a container that the engine forgot as well.
    if (again) lookLater(engine);
  };
  const lookLater = (engine: EngineWatch) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      looking = looking
        .then(() => look(engine))
        .catch((error: unknown) => log.warn({ err: error }, 'forgotten networks could not be looked for'));
    }, graceMs).unref();
    timers.add(timer);
  };
  const ends = engines.map((engine) =>
    engine.subscribe((event) => {
      if (event.kind === 'network' || event.kind === 'synchronised') learn(engine);
      if (event.kind === 'network-removed' || event.kind === 'synchronised') lookLater(engine);
    }),
  );
  return {
    async close() {
      closed = true;
      for (const end of ends) end();
      for (const timer of timers) clearTimeout(timer);
      await looking;
    },
  };
}
