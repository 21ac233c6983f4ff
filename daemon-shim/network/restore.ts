/**
 * Networks at the shim's start: their plugins are activated, and IPAM drivers that ask for it are told again of every pool and
 * address that is held. Each network on its own and in the background: a plugin that is not there holds up only those who wait
 * for its network (`NetworkRegistry.restored`).
 */
import type { IpamClient } from '../../plugins/sdk/index.ts';
import type { EndpointRecord } from '../container/record.ts';
import type { Engine } from '../engine.ts';
import { bareIp } from './pools.ts';
import { isBuiltIn, type NetworkRecord, type PoolRecord } from './record.ts';
import { removeAtDriver } from './remove.ts';

export function restoreNetworks(engine: Engine): void {
  for (const network of engine.networks.unfinished()) void takeBack(engine, network);
  for (const network of engine.networks.list()) {
    if (isBuiltIn(network) || network.configOnly) continue;
    const work = restoreNetwork(engine, network).catch((error: unknown) => {
      engine.log.warn({ err: error, network: network.name }, 'restoring a network');
    });
    engine.networks.setRestoring(network.id, work);
  }
}

/** Its drivers know a network that no user has seen. */
async function takeBack(engine: Engine, network: NetworkRecord): Promise<void> {
  if (engine.networks.find(network.id) === undefined) {
    engine.log.info({ network: network.name }, 'taking back a network whose making was cut short');
    await removeAtDriver(engine, network);
  }
  engine.networks.finish(network.id);
}

async function restoreNetwork(engine: Engine, network: NetworkRecord): Promise<void> {
  await engine.plugins.network(network.driver);
  const { ipam, capabilities } = await engine.plugins.ipam(network.ipamDriver);
  if (!capabilities.requiresRequestReplay) return;
  const renewed = new Map<string, string>();
  const pools: PoolRecord[] = [];
  for (const pool of network.pools) {
    const poolId = await replayPool(ipam, network, pool);
    renewed.set(pool.poolId, poolId);
    pools.push({ ...pool, poolId });
  }
  engine.networks.put({ ...network, pools });
  await replayEndpoints(engine, network, ipam, renewed);
}

/** The pool as it is now, its gateway, its auxiliary addresses. Returns the driver's identifier, which may be another one. */
async function replayPool(ipam: IpamClient, network: NetworkRecord, pool: PoolRecord): Promise<string> {
  const { local } = await ipam.getDefaultAddressSpaces();
  const { poolId } = await ipam.requestPool({
    addressSpace: pool.addressSpace ?? local,
    pool: pool.pool,
    ...(pool.subPool === undefined ? {} : { subPool: pool.subPool }),
    options: network.ipamOptions,
    v6: pool.v6,
  });
  const common = { poolId, serial: false, options: {} };
  if (pool.gateway !== undefined)
    await ipam.requestAddress({ ...common, address: bareIp(pool.gateway), isGateway: true });
  for (const address of Object.values(pool.auxAddresses))
    await ipam.requestAddress({ ...common, address: bareIp(address), isGateway: false });
  return poolId;
}

async function replayEndpoints(
  engine: Engine,
  network: NetworkRecord,
  ipam: IpamClient,
  renewed: ReadonlyMap<string, string>,
): Promise<void> {
  for (const container of engine.containers.list()) {
    for (const [name, endpoint] of Object.entries(container.record.endpoints)) {
      if (endpoint.networkId !== network.id || endpoint.endpointId === '') continue;
      for (const { poolId, address } of heldAddresses(endpoint)) {
        const id = renewed.get(poolId) ?? poolId;
        await ipam.requestAddress({
          poolId: id,
          address: bareIp(address),
          isGateway: false,
          serial: false,
          options: {},
        });
      }
      const { poolId, poolIdIPv6 } = endpoint;
      container.update({
        endpoints: {
          ...container.record.endpoints,
          [name]: {
            ...endpoint,
            ...(poolId === undefined ? {} : { poolId: renewed.get(poolId) ?? poolId }),
            ...(poolIdIPv6 === undefined ? {} : { poolIdIPv6: renewed.get(poolIdIPv6) ?? poolIdIPv6 }),
          },
        },
      });
    }
  }
}

function heldAddresses(endpoint: EndpointRecord): { poolId: string; address: string }[] {
  return [
    { poolId: endpoint.poolId, address: endpoint.address },
    { poolId: endpoint.poolIdIPv6, address: endpoint.addressIPv6 },
  ].filter(
    (held): held is { poolId: string; address: string } => held.poolId !== undefined && held.address !== undefined,
  );
}
