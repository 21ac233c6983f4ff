/**
 * Wires cleat-networkd: what all drivers share, then the drivers, one after the other, then the services that watch them.
 * Order matters at start: drivers read their records and note their rules, then the table is written once, then strays are
 * swept, and only after that do sockets open.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RouteSocket } from '../linux/netlink/route-socket.ts';
import type { DaemonContext, DaemonSpec, Service } from '../sdk/daemon.ts';
import { openStore } from '../store/store.ts';
import { startBridge } from './bridge/start.ts';
import { checkConfigNames } from './config-names.ts';
import { networkRoutes } from './control.ts';
import { startDhcp } from './dhcp/start.ts';
import { dnsServiceOptions } from './dns/options.ts';
import { type DnsService, startDns } from './dns/start.ts';
import { watchLostNetworks } from './engine/lost-networks.ts';
import { type EngineNames, engineNames } from './engine/names.ts';
import { startIpam } from './ipam/ipam.ts';
import { ipvlan } from './ipvlan/kind.ts';
import type { LanParts } from './lan/driver.ts';
import { type LanPart, startLan } from './lan/start.ts';
import { LinkRemover } from './link/removal.ts';
import { sweepLinks } from './link/sweep.ts';
import { isAbandoned, isForgotten } from './liveness.ts';
import { macvlan } from './macvlan/kind.ts';
import { startNeighbours } from './neighbour/start.ts';
import { openPlanes } from './overlay/planes.ts';
import { startOverlay } from './overlay/start.ts';
import type { NetworkPart, NetworkParts } from './parts.ts';
import { Firewall } from './publish/firewall.ts';
import { watchLateConflicts } from './publish/late-conflicts.ts';
import { openRuleWriter } from './publish/open-writer.ts';
import { PublishProxy } from './publish/proxy.ts';
import { Publisher } from './publish/publisher.ts';
import { FirewallWatch } from './publish/watch.ts';
import { NetworkRegistry } from './registry.ts';

const removalMs = 4000;

export const networkDaemon: DaemonSpec = {
  name: 'networkd',
  about: 'Serves the network drivers and the IPAM drivers of cleat to container engines.',
  start: startNetworkService,
};

export async function startNetworkService(context: DaemonContext): Promise<Service> {
  const { log, config, stateDir } = context;
  checkConfigNames(config);
  const store = openStore(join(stateDir, 'networkd.db'), { log });
  const writer = await openRuleWriter(config['firewall'], log);
  const firewall = new Firewall(writer, log);
  const registry = new NetworkRegistry((error) => log.error({ err: error }, 'a listener of the registry failed'));
  const publisher = new Publisher({
    store,
    firewall,
    log,
    nameEndpoint: (id) => nameEndpoint(names(), id),
    isAbandoned: (id) => whether(isAbandoned, id),
  });
  let dns: DnsService | undefined;
  const names = () => engineNames(dns?.engines ?? []);
  const whether = (test: typeof isAbandoned, endpointId: string) => {
    const endpoint = registry.findEndpoint(endpointId);
    return endpoint !== undefined && test(endpoint, dns?.engines ?? [], Date.now());
  };
  const watch = new FirewallWatch(firewall, log);
  const parts: NetworkParts = {
    context,
    store,
    registry,
    firewall,
    publisher,
    socket: new RouteSocket(),
    remover: new LinkRemover(),
    isAbandoned: (id) => whether(isAbandoned, id),
    isForgotten: (id) => whether(isForgotten, id),
    onNetworksChange: () => watch.checkAcceptRules(),
  };
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

  const planes = openPlanes(parts);

  // One line for each driver.
  const ipam = startIpam({
    store,
    config: config['ipam'],
    log,
    bootId,
    registry: context.registry,
    sharing: planes.sharing,
  });
  const neighbours = startNeighbours(parts);
  const dhcp = startDhcp({ ...parts, guard: neighbours.guard, bootId });
  const services = dnsServiceOptions;
  const overlay = startOverlay(parts, planes, services);
  const lanParts: Omit<LanParts, 'log'> = {
    ...parts,
    services,
    guard: neighbours.guard,
    leases: dhcp.leases,
    parentUsers: (parent, except) =>
      lans.flatMap((lan) => lan.users(parent)).filter(({ networkId }) => networkId !== except),
  };
  const lans: readonly LanPart[] = [macvlan, ipvlan].map((kind) => startLan(kind, lanParts));
  const drivers: NetworkPart[] = [startBridge(parts, services), overlay, ...lans, neighbours, dhcp];

  const proxy = await PublishProxy.start(store, (...to) => publisher.index.findTarget(...to), log);
  publisher.setProxyPort(proxy?.port);
  firewall.setProxyPort(proxy?.port);
  publisher.restore((endpointId) => registry.findEndpoint(endpointId) !== undefined);
  firewall.settle();
  const known = new Set(drivers.flatMap((driver) => driver.links()));
  await sweepLinks(parts.socket, known, parts.remover, log);
  for (const driver of drivers) driver.started?.();
  watch.checkAcceptRules();
  const conflicts = watchLateConflicts(publisher, log);
  dns = startDns(context, registry, ipam);
  overlay.follow(dns.directory);
  dhcp.follow(dns.engines);
  const { engines } = dns;
  ipam.watch({ networks: registry, engines });
  const remove = async (networkId: string) => {
    const name = registry.findNetwork(networkId)?.driver;
    const driver = drivers.flatMap(({ plugins }) => plugins).find((plugin) => plugin.name === name);
    await driver?.network?.deleteNetwork({ networkId }, AbortSignal.timeout(removalMs));
  };
  const lost = watchLostNetworks({
    engines,
    registry,
    store,
    log,
    isAbandoned: (id) => whether(isAbandoned, id),
    remove,
  });

  return {
    plugins: [ipam.plugin, ...drivers.flatMap(({ plugins }) => plugins)],
    control: (app) => {
      networkRoutes(app, { parts, drivers, ipam, names });
      dns?.control(app);
      overlay.control(app);
    },
    reload: async (next) => {
      checkConfigNames(next);
      ipam.reload(next['ipam']);
      dns?.reload(next['dns']);
      for (const driver of drivers) await driver.reload?.(next);
    },
    stop: async () => {
      await lost.close();
      await dns?.close();
      await Promise.all(drivers.map((driver) => driver.stop()));
      conflicts.close();
      await watch.close();
      await proxy?.close();
      await parts.remover.idle();
      ipam.close();
      publisher.close();
      parts.socket.close();
      writer.close();
      store.close();
    },
  };
}

function nameEndpoint(names: EngineNames, endpointId: string): string {
  const name = names.container(endpointId);
  return name === undefined ? `the endpoint ${endpointId.slice(0, 12)}` : `the container ${name}`;
}
