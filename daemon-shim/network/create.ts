/** `network create`: pools from the IPAM driver, then the network at its driver, then the record; undone when a step fails. */
import { randomBytes } from 'node:crypto';
import { RemoteError } from '../../plugins/sdk/index.ts';
import { ApiError, badRequest, conflict } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { freeSubnets } from './address-pools.ts';
import { emitNetworkEvent } from './event.ts';
import { releasePools, requestPools } from './pools.ts';
import { isBuiltIn, type NetworkRecord, type PoolRecord, predefinedNames } from './record.ts';

export type NetworkSpec = Omit<NetworkRecord, 'id' | 'created' | 'pools'>;

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

export async function createNetwork(engine: Engine, spec: NetworkSpec): Promise<NetworkRecord> {
  if (!namePattern.test(spec.name))
    throw badRequest(`invalid network name "${spec.name}": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  if (predefinedNames.includes(spec.name))
    throw new ApiError(403, `operation is not permitted on predefined ${spec.name} network`);
  return engine.networks.locked(spec.name, () => makeNetwork(engine, spec));
}

/** Also for the predefined ones, at the shim's start; one that is made anew keeps its id. Under the name's lock. */
export async function makeNetwork(
  engine: Engine,
  spec: NetworkSpec,
  id: string = randomBytes(32).toString('hex'),
): Promise<NetworkRecord> {
  if (engine.networks.list().some((network) => network.name === spec.name)) {
    throw conflict(`network with name ${spec.name} already exists`);
  }
  const base: NetworkRecord = { ...spec, id, created: formatTimestamp(now()), pools: [] };
  const record = isBuiltIn(base) || spec.configOnly ? base : { ...base, pools: await makeAtDriver(engine, base) };
  engine.networks.put(record);
  emitNetworkEvent(engine, record, 'create');
  return record;
}

async function makeAtDriver(engine: Engine, network: NetworkRecord): Promise<PoolRecord[]> {
  const driver = await engine.plugins.get(network.driver, 'network');
  const ipamPlugin = await engine.plugins.get(network.ipamDriver, 'ipam');
  const { gwAllocChecker } = await driver.network.getCapabilities();
  const flags = { enableIPv4: network.enableIPv4, enableIPv6: network.enableIPv6, internal: network.internal };
  const skip = gwAllocChecker
    ? await driver.network.gwAllocCheck({ options: network.options, ...flags })
    : { skipIPv4: false, skipIPv6: false };
  const pools = await remote('failed to allocate a pool', () =>
    requestPools(ipamPlugin.ipam, {
      ...flags,
      config: network.ipamConfig,
      freeSubnets: (v6) =>
        freeSubnets(
          engine.config.defaultAddressPools,
          v6,
          engine.networks.list().flatMap((other) => other.pools.map((pool) => pool.pool)),
        ),
      options: network.ipamOptions,
      skipGatewayIPv4: skip.skipIPv4,
      skipGatewayIPv6: skip.skipIPv6,
    }),
  );
  try {
    await remote('', () =>
      driver.network.createNetwork({
        networkId: network.id,
        options: network.options,
        ...flags,
        ipv4: ipamData(network, pools, false),
        ipv6: ipamData(network, pools, true),
      }),
    );
  } catch (error) {
    await releasePools(ipamPlugin.ipam, pools);
    throw error;
  }
  return pools;
}

export function ipamData(network: NetworkRecord, pools: readonly PoolRecord[], v6: boolean) {
  return pools
    .filter((pool) => pool.v6 === v6)
    .map((pool) => ({
      addressSpace: network.ipamDriver,
      pool: pool.pool,
      ...(pool.gateway === undefined ? {} : { gateway: pool.gateway }),
      auxAddresses: pool.auxAddresses,
    }));
}

/** What a plugin refuses is the user's error, in the plugin's words. */
async function remote<T>(what: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error;
    throw new ApiError(500, what === '' ? error.line : `${what}: ${error.line}`, { cause: error });
  }
}
