/** The daemon's own JSON routes: what exists, what is published, and the way to take it all off the host. */
import type { FastifyInstance } from 'fastify';
import type { EngineNames } from './engine/names.ts';
import type { Ipam } from './ipam/ipam.ts';
import { findStrays } from './link/sweep.ts';
import type { NetworkPart, NetworkParts, PurgeItem } from './parts.ts';
import { removeAcceptRules } from './publish/docker-user.ts';
import type { PublishedPort } from './publish/port-binding.ts';

export interface PortRow {
  readonly networkId: string;
  readonly endpointId: string;
  /** Names, where an engine told them. */
  readonly container?: string;
  readonly network?: string;
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

export interface RouteParts {
  readonly parts: NetworkParts;
  readonly drivers: readonly NetworkPart[];
  readonly ipam: Ipam;
  /** What the engines call them, now. */
  readonly names: () => EngineNames;
}

export function networkRoutes(app: FastifyInstance, { parts, drivers, ipam, names }: RouteParts): void {
  const { registry } = parts;
  app.get('/status', () =>
    Object.assign(
      {},
      networkStatus(parts, names()),
      ipam.status(),
      ...drivers.map((driver) => driver.status?.() ?? {}),
    ),
  );
  app.get('/networks', () => registry.networks());
  app.get('/endpoints', () => registry.endpoints());
  app.get('/ports', () => portRows(parts, names()));
  const purgeAll = async (dryRun: boolean) => [...(await purge(parts, drivers, dryRun)), ...ipam.purge(dryRun)];
  app.get('/purge', () => purgeAll(true));
  app.post('/purge', () => purgeAll(false));
}

/** One list of flat objects for each kind of thing, for `cleat status`. */
function networkStatus(parts: NetworkParts, names: EngineNames): Readonly<Record<string, readonly object[]>> {
  const { registry } = parts;
  return {
    networks: registry.networks().map(({ networkId, driver, pools, hostInterface, internal }) => ({
      network: names.network(networkId) ?? networkId.slice(0, 12),
      driver,
      subnets: pools.map(({ pool }) => pool),
      gateways: pools.flatMap(({ gateway }) => gateway ?? []),
      interface: hostInterface,
      internal,
      endpoints: registry.endpoints(networkId).length,
      networkId: networkId.slice(0, 12),
    })),
    endpoints: registry.endpoints().map(({ networkId, endpointId, state, addresses, macAddress, hostInterface }) => ({
      container: names.container(endpointId) ?? endpointId.slice(0, 12),
      network: names.network(networkId) ?? networkId.slice(0, 12),
      addresses,
      macAddress,
      interface: hostInterface,
      state,
      endpointId: endpointId.slice(0, 12),
    })),
    ports: portRows(parts, names).map(({ endpointId, networkId, container, network, ...row }) => ({
      container: container ?? endpointId.slice(0, 12),
      ...row,
      network: network ?? networkId.slice(0, 12),
    })),
  };
}

function portRows({ publisher }: NetworkParts, names: EngineNames): PortRow[] {
  return publisher
    .list()
    .flatMap(({ networkId, endpointId, ports }) => ports.map((port) => portRow(networkId, endpointId, port, names)));
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
  items.push({ ...parts.firewall.writer.place, ...kept }, { kind: 'rule', name: 'DOCKER-USER', ...kept });
  if (!dryRun && kept.kept === undefined) {
    parts.firewall.removeAll();
    await removeAcceptRules();
  }
  return items;
}

function portRow(networkId: string, endpointId: string, port: PublishedPort, names: EngineNames): PortRow {
  const container = names.container(endpointId);
  const network = names.network(networkId);
  const { protocol, family, hostAddress, hostPort, hostPortEnd, containerAddress, containerPort, via } = port;
  const span = (first: number) =>
    hostPort === hostPortEnd ? `${first}` : `${first}-${first + hostPortEnd - hostPort}`;
  return {
    networkId,
    endpointId,
    ...(container !== undefined && { container }),
    ...(network !== undefined && { network }),
    protocol,
    hostAddress: via === 'routed' ? containerAddress : hostAddress || '*',
    family,
    hostPort: via === 'routed' ? '-' : span(hostPort),
    containerAddress,
    containerPort: span(containerPort),
    via,
  };
}
