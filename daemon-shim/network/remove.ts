/** `network rm`: refused while containers are on it; the record goes even when the driver fails, as in every engine. */
import { ApiError } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { emitNetworkEvent } from './event.ts';
import { releasePools } from './pools.ts';
import { isBuiltIn, type NetworkRecord, predefinedNames } from './record.ts';

export async function removeNetwork(engine: Engine, nameOrId: string): Promise<void> {
  const found = engine.networks.get(nameOrId);
  if (predefinedNames.includes(found.name))
    throw new ApiError(403, `${found.name} is a pre-defined network and cannot be removed`);
  await engine.networks.locked(found.name, async () => {
    const network = engine.networks.get(found.id);
    if (network.configOnly && engine.networks.list().some(({ configFrom }) => configFrom === network.name))
      throw new ApiError(
        403,
        `error while removing network: configuration network ${JSON.stringify(network.name)} is in use`,
      );
    refuseWhileUsed(engine, network);
    await deleteNetwork(engine, network);
  });
}

/** Under the name's lock. */
export async function deleteNetwork(engine: Engine, network: NetworkRecord): Promise<void> {
  if (!isBuiltIn(network) && !network.configOnly) await removeAtDriver(engine, network);
  engine.networks.delete(network.id);
  emitNetworkEvent(engine, network, 'destroy');
}

export function isInUse(engine: Engine, network: NetworkRecord): boolean {
  return usersOf(engine, network).length > 0;
}

function refuseWhileUsed(engine: Engine, network: NetworkRecord): void {
  const users = usersOf(engine, network);
  if (users.length === 0) return;
  const names = users.map(({ record }) => `name:"${record.name}" id:"${record.id.slice(0, 12)}"`).join(', ');
  throw new ApiError(403, `error while removing network: network ${network.name} has active endpoints (${names})`);
}

/** Containers that run on it. */
function usersOf(engine: Engine, network: NetworkRecord) {
  return engine.containers
    .list()
    .filter((container) => container.isRunning)
    .filter(({ record }) => Object.values(record.endpoints).some((endpoint) => endpoint.networkId === network.id));
}

/** IPAM first, then the driver; failures are logged, for the network is gone for the user in any case. */
export async function removeAtDriver(engine: Engine, network: NetworkRecord): Promise<void> {
  await engine.networks.restored(network.id);
  const log = (what: string) => (error: unknown) => engine.log.warn({ err: error, network: network.name }, what);
  const ipam = await engine.plugins.get(network.ipamDriver, 'ipam').catch(log('looking up the IPAM driver'));
  // The driver may have given them other identifiers when it was told of them again.
  if (ipam) await releasePools(ipam.ipam, (engine.networks.find(network.id) ?? network).pools);
  const driver = await engine.plugins.get(network.driver, 'network').catch(log('looking up the network driver'));
  await driver?.network.deleteNetwork({ networkId: network.id }).catch(log('deleting the network at its driver'));
}
