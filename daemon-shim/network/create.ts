/** `network create`: pools from the IPAM driver, then the network at its driver, then the record; undone when a step fails. */
import { randomBytes } from 'node:crypto';
import { RemoteError } from '../../plugins/sdk/index.ts';
import { ApiError, badRequest, conflict } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { freeSubnets } from './address-pools.ts';
import { checkIpam } from './check-ipam.ts';
import { emitNetworkEvent } from './event.ts';
import { releasePools, requestPools } from './pools.ts';
import { isBuiltIn, type NetworkRecord, type PoolRecord, predefinedNames } from './record.ts';

export type NetworkSpec = Omit<NetworkRecord, 'id' | 'created' | 'pools'>;

export async function createNetwork(engine: Engine, spec: NetworkSpec): Promise<NetworkRecord> {
  if (spec.name.trim() === '') throw badRequest('invalid name: name is empty');
  if (predefinedNames.includes(spec.name))
    throw new ApiError(403, `operation is not permitted on predefined ${spec.name} network`);
  if (spec.driver === 'host' || (spec.driver === 'null' && !spec.configOnly))
    throw new ApiError(403, `only one instance of "${spec.driver}" network is allowed`);
  checkIpam(spec.ipamConfig, spec.enableIPv6);
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
  engine.networks.finish(id);
  emitNetworkEvent(engine, record, 'create');
  return record;
}

async function makeAtDriver(engine: Engine, network: NetworkRecord): Promise<PoolRecord[]> {
  const driver = await engine.plugins.network(network.driver);
  const { ipam } = await engine.plugins.ipam(network.ipamDriver);
  const flags = { enableIPv4: network.enableIPv4, enableIPv6: network.enableIPv6, internal: network.internal };
  const skip = driver.capabilities.gwAllocChecker
    ? await driver.network.gwAllocCheck({ options: network.options, ...flags })
    : { skipIPv4: false, skipIPv6: false };
  const pools = await remote('failed to allocate a pool', () =>
    requestPools(ipam, {
      ...flags,
      config: network.ipamConfig,
      freeSubnets: (v6) =>
        freeSubnets(
          // Of the default IPAM driver alone: another one has pools of its own.
          network.ipamDriver === engine.config.defaultIpamDriver ? engine.config.defaultAddressPools : [],
          v6,
          engine.networks.list().flatMap((other) => other.pools.map((pool) => pool.pool)),
        ),
      options: network.ipamOptions,
      skipGatewayIPv4: skip.skipIPv4,
      skipGatewayIPv6: skip.skipIPv6,
    }),
  );
  engine.networks.begin({ ...network, pools });
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
    await releasePools(ipam, pools);
    engine.networks.finish(network.id);
    throw error;
  }
  return pools;
}

export function ipamData(network: NetworkRecord, pools: readonly PoolRecord[], v6: boolean) {
  return pools
    .filter((pool) => pool.v6 === v6)
    .map((pool) => ({
      addressSpace: pool.addressSpace ?? network.ipamDriver,
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
