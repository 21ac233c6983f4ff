/** The networks that are always there: none, host, and the default one at the default driver. */
import type { Engine } from '../engine.ts';
import { makeNetwork, type NetworkSpec } from './create.ts';

const base = {
  enableIPv4: true,
  enableIPv6: false,
  internal: false,
  attachable: false,
  configOnly: false,
  configFrom: '',
  ipamOptions: {},
  ipamConfig: [],
  options: {},
  labels: {},
} as const;

/** Makes what is missing. The default network waits for its plugin in the background: an engine without it still answers. */
export async function ensurePredefined(engine: Engine): Promise<void> {
  for (const [name, driver] of [
    ['none', 'null'],
    ['host', 'host'],
  ] as const) {
    await ensure(engine, { ...base, name, driver, ipamDriver: 'null' });
  }
  const { defaultNetworkDriver: driver, defaultIpamDriver: ipamDriver } = engine.config;
  await ensure(engine, { ...base, name: 'bridge', driver, ipamDriver }).catch((error: unknown) => {
    engine.log.warn(
      { err: error, driver },
      'the default network "bridge" cannot be made; containers need --network until its plugin is there',
    );
  });
}

function ensure(engine: Engine, spec: NetworkSpec): Promise<unknown> {
  return engine.networks.locked(spec.name, async () => {
    if (engine.networks.find(spec.name) === undefined) await makeNetwork(engine, spec);
  });
}
