/** `docker network inspect` and `ls`. */
import type { Engine } from '../engine.ts';
import { bareIp } from './pools.ts';
import { isBuiltIn, type NetworkRecord, predefinedNames } from './record.ts';

export function inspectNetwork(engine: Engine, network: NetworkRecord): object {
  const isPredefined = predefinedNames.includes(network.name);
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: 'local',
    Driver: network.driver,
    EnableIPv4: network.enableIPv4,
    EnableIPv6: network.enableIPv6,
    IPAM: {
      Driver: isBuiltIn(network) ? 'default' : network.ipamDriver,
      // As Docker shows them of networks that are always there, and of others.
      Options: isPredefined ? null : network.ipamOptions,
      Config: isBuiltIn(network) && isPredefined ? null : shownPools(network),
    },
    Internal: network.internal,
    Attachable: network.attachable,
    Ingress: false,
    ConfigFrom: { Network: network.configFrom },
    ConfigOnly: network.configOnly,
    Containers: shownContainers(engine, network),
    Options: network.options,
    Labels: network.labels,
  };
}

function shownPools(network: NetworkRecord): object[] {
  if (network.pools.length === 0) return network.ipamConfig.map((entry) => ({ ...entry }));
  return network.pools.map((pool) => ({
    Subnet: pool.pool,
    ...(pool.subPool ? { IPRange: pool.subPool } : {}),
    ...(pool.gateway ? { Gateway: bareIp(pool.gateway) } : {}),
    ...(Object.keys(pool.auxAddresses).length > 0
      ? {
          AuxiliaryAddresses: Object.fromEntries(
            Object.entries(pool.auxAddresses).map(([name, address]) => [name, bareIp(address)]),
          ),
        }
      : {}),
  }));
}

function shownContainers(engine: Engine, network: NetworkRecord): object {
  const shown: Record<string, object> = {};
  for (const container of engine.containers.list()) {
    if (!container.isRunning) continue;
    const endpoint = Object.values(container.record.endpoints).find((candidate) => candidate.networkId === network.id);
    if (endpoint === undefined) continue;
    shown[container.id] = {
      Name: container.record.name,
      EndpointID: endpoint.endpointId,
      MacAddress: endpoint.macAddress ?? '',
      IPv4Address: endpoint.address ?? '',
      IPv6Address: endpoint.addressIPv6 ?? '',
    };
  }
  return shown;
}
