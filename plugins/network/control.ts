/** The daemon's own JSON routes: what exists, what is published, and the way to take it all off the host. */
import type { FastifyInstance } from 'fastify';
import type { Ipam } from './ipam/ipam.ts';
import { findStrays } from './link/sweep.ts';
import type { NetworkPart, NetworkParts, PurgeItem } from './parts.ts';
import { removeAcceptRules } from './publish/docker-user.ts';
import type { PublishedPort } from './publish/port-binding.ts';
import { tableName } from './publish/table.ts';

export interface PortRow {
  readonly networkId: string;
  readonly endpointId: string;
  readonly protocol: string;
  /** `*`: every address of the family. */
  readonly hostAddress: string;
  readonly family: number;
  /** `8080` or `8000-8099`; `-` where the container's own address is used. */
  readonly hostPort: string;
  readonly containerAddress: string;
  readonly containerPort: string;
  readonly via: string;
}

export function networkRoutes(
  app: FastifyInstance,
  parts: NetworkParts,
  drivers: readonly NetworkPart[],
  ipam: Ipam,
): void {
  const { registry, publisher } = parts;
  const ports = () =>
    publisher
      .list()
      .flatMap(({ networkId, endpointId, ports: list }) => list.map((port) => portRow(networkId, endpointId, port)));
  app.get('/status', () => ({
    networks: registry.networks().map(({ networkId, driver, pools, hostInterface, internal }) => ({
      networkId: networkId.slice(0, 12),
      driver,
      pools: pools.map(({ pool }) => pool),
      gateways: pools.flatMap(({ gateway }) => gateway ?? []),
      hostInterface,
      internal,
      endpoints: registry.endpoints(networkId).length,
    })),
    endpoints: registry.endpoints().map(({ networkId, endpointId, state, addresses, macAddress, hostInterface }) => ({
      endpointId: endpointId.slice(0, 12),
      networkId: networkId.slice(0, 12),
      state,
      addresses,
      macAddress,
      hostInterface,
    })),
    ports: ports().map((row) => ({
      ...row,
      networkId: row.networkId.slice(0, 12),
      endpointId: row.endpointId.slice(0, 12),
    })),
    ...ipam.status(),
  }));
  app.get('/networks', () => registry.networks());
  app.get('/endpoints', () => registry.endpoints());
  app.get('/ports', ports);
  const purgeAll = async (dryRun: boolean) => [...(await purge(parts, drivers, dryRun)), ...ipam.purge(dryRun)];
  app.get('/purge', () => purgeAll(true));
  app.post('/purge', () => purgeAll(false));
}

async function purge(parts: NetworkParts, drivers: readonly NetworkPart[], dryRun: boolean): Promise<PurgeItem[]> {
  const items: PurgeItem[] = [];
  for (const driver of drivers) items.push(...((await driver.purge?.(dryRun)) ?? []));
  const known = new Set(drivers.flatMap((driver) => driver.links()));
  for (const name of findStrays(parts.socket, known)) {
    items.push({ kind: 'link', name });
    if (!dryRun) await parts.remover.remove(name);
  }
  const kept = items.some((item) => item.kept !== undefined) ? { kept: 'networks are in use' } : {};
  items.push({ kind: 'table', name: `inet ${tableName}`, ...kept }, { kind: 'rule', name: 'DOCKER-USER', ...kept });
  if (!dryRun && kept.kept === undefined) {
    parts.firewall.removeTable();
    await removeAcceptRules();
  }
  return items;
}

function portRow(networkId: string, endpointId: string, port: PublishedPort): PortRow {
  const { protocol, family, hostAddress, hostPort, hostPortEnd, containerAddress, containerPort, via } = port;
  const span = (first: number) =>
    hostPort === hostPortEnd ? `${first}` : `${first}-${first + hostPortEnd - hostPort}`;
  return {
    networkId,
    endpointId,
    protocol,
    hostAddress: via === 'routed' ? containerAddress : hostAddress || '*',
    family,
    hostPort: via === 'routed' ? '-' : span(hostPort),
    containerAddress,
    containerPort: span(containerPort),
    via,
  };
}
