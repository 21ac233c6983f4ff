/** The networks that are always there: none, host, and the default one at the default driver. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Engine } from '../engine.ts';
import { makeNetwork, type NetworkSpec } from './create.ts';
import { defaultBridge } from './default-bridge.ts';
import type { NetworkRecord } from './record.ts';
import { deleteNetwork, isInUse } from './remove.ts';

const builtIn = {
  enableIPv4: true,
  enableIPv6: false,
  internal: false,
  attachable: false,
  configOnly: false,
  configFrom: '',
  ipamDriver: 'null',
  ipamOptions: {},
  ipamConfig: [],
  options: {},
  labels: {},
} as const;

/** The plugin of the default network may come up later than the shim. */
const retryMs = 2000;

/**
 * Makes what is missing. The default network is tried until its plugin is there: an engine without it still answers, and runs
 * containers on other networks. Resolves when all are there, or when `signal` ends it.
 */
export async function ensurePredefined(engine: Engine, signal: AbortSignal): Promise<void> {
  for (const [name, driver] of [
    ['none', 'null'],
    ['host', 'host'],
  ] as const) {
    await ensure(engine, { ...builtIn, name, driver });
  }
  for (let attempt = 1; !signal.aborted; attempt += 1) {
    try {
      await ensureDefault(engine);
      return;
    } catch (error) {
      // Said once: it is tried again and again.
      if (attempt === 1) {
        engine.log.warn(
          { err: error, driver: engine.config.defaultNetworkDriver },
          'the default network "bridge" cannot be made; containers need --network until its plugin is there',
        );
      }
      await delay(retryMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }
}

/** Flags may have changed since it was made: then it is made anew, once no container is on it. */
async function ensureDefault(engine: Engine): Promise<void> {
  const spec = defaultBridge(engine.config);
  await engine.networks.locked('bridge', async () => {
    const network = engine.networks.find('bridge');
    if (network !== undefined && spec !== undefined && isSame(network, spec)) return;
    if (network !== undefined && isInUse(engine, network)) {
      engine.log.warn(
        'the flags of the default network "bridge" changed; they take effect when no running container is on it',
      );
      return;
    }
    if (network !== undefined) await deleteNetwork(engine, network);
    if (spec !== undefined) await makeNetwork(engine, spec, network?.id);
  });
}

function isSame(network: NetworkRecord, spec: NetworkSpec): boolean {
  return (Object.keys(spec) as (keyof NetworkSpec)[]).every(
    (key) => JSON.stringify(network[key]) === JSON.stringify(spec[key]),
  );
}

function ensure(engine: Engine, spec: NetworkSpec): Promise<unknown> {
  return engine.networks.locked(spec.name, async () => {
    if (engine.networks.find(spec.name) === undefined) await makeNetwork(engine, spec);
  });
}
