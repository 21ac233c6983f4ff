/** cleat-overlay as the daemon wires it. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { monitorRoutes } from '../../linux/netlink/route-socket.ts';
import type { Store } from '../../store/store.ts';
import { noServiceOptions, type ServiceOptions } from '../bridge/options.ts';
import { runBridges } from '../bridge/start.ts';
import type { Directory } from '../dns/directory.ts';
import { vxlanName } from '../link/names.ts';
import type { NetworkPart, NetworkParts } from '../parts.ts';
import { readOverlayConfig } from './config.ts';
import { networkRows, overlayRoutes } from './control.ts';
import { OverlayDriver } from './driver.ts';
import { Exchange } from './exchange/exchange.ts';
import { deriveKey } from './exchange/secure.ts';
import type { MemberParts } from './member.ts';
import { driverName, overlaySchema } from './options.ts';

const checkMs = 5000;
/** After the news that a link is gone: longer than the bridge takes to be built again. */
const settleMs = 400;
/** Changes that come together are put into the kernel together. */
const gatherMs = 5;

export interface OverlayPart extends NetworkPart {
  /** From now on names are shared too. */
  follow(directory: Directory): void;
  control(app: FastifyInstance): void;
}

/** Reads the records and takes part again. Throws NET_OVERLAY_CONFIG. */
export function startOverlay(parts: NetworkParts, services: ServiceOptions = noServiceOptions): OverlayPart {
  const log = parts.context.log.child({ driver: driverName });
  let config = readOverlayConfig(parts.context.config['overlay']);
  const changed = new Set<string>();
  let gathering: NodeJS.Timeout | undefined;
  let soon: NodeJS.Timeout | undefined;
  let timer: NodeJS.Timeout | undefined;
  let monitor: { close(): void } | undefined;
  const onChange = (names: readonly string[]) => {
    for (const name of names) changed.add(name);
    gathering ??= setTimeout(() => {
      gathering = undefined;
      for (const member of driver.members.values()) if (changed.has(member.options.name)) member.settle();
      changed.clear();
    }, gatherMs);
  };
  const leaseMs = () => config.leaseMs;
  const plane =
    config.secret === undefined
      ? undefined
      : new Exchange({
          ...nextRun(parts.store),
          key: deriveKey(config.secret),
          port: config.port,
          leaseMs,
          hostName: hostname(),
          onChange,
          log,
        });
  const member: MemberParts | undefined = plane && {
    socket: parts.socket,
    registry: parts.registry,
    plane,
    address: config.address,
    leaseMs,
    log,
  };
  const driver = new OverlayDriver({
    ...parts,
    services: { ...services, network: { ...services.network, ...overlaySchema }, driver: driverName },
    log,
    now: () => new Date(),
    config: () => config,
    member,
  });
  const bridges = runBridges(driver, driverName);
  driver.restoreMembers();
  const unsubscribe = parts.registry.subscribe((event) => {
    if (!('endpoint' in event)) return;
    const one = driver.members.get(event.network.networkId);
    if (event.kind === 'endpoint-removed') one?.forget(event.endpoint.endpointId);
    else one?.tell(event.endpoint);
  });
  const check = () => {
    soon = undefined;
    driver.checkMembers();
  };
  return {
    ...bridges,
    links: () => [...bridges.links(), ...[...driver.members.values()].map(({ options }) => vxlanName(options.vni))],
    started: () => {
      bridges.started?.();
      timer = setInterval(check, checkMs).unref();
      monitor = monitorRoutes({
        topics: ['link'],
        onChange: (change) => {
          if (change.kind === 'link' && change.change === 'deleted' && driver.needsLink(change.link.name))
            soon ??= setTimeout(check, settleMs).unref();
        },
        onLost: () => {
          soon ??= setTimeout(check, settleMs).unref();
        },
      });
    },
    follow: (given) => {
      driver.onMember = (one) => one.follow(given);
      for (const one of driver.members.values()) one.follow(given);
      given.onZoneChanged(({ network }) => driver.members.get(network.networkId)?.tellAll());
    },
    control: (app) => overlayRoutes(app, driver, plane),
    status: () => ({ overlays: networkRows(driver) }),
    reload: async (next) => {
      config = { ...readOverlayConfig(next['overlay']), ...(config.secret !== undefined && { secret: config.secret }) };
    },
    stop: async () => {
      for (const one of [gathering, soon, timer]) clearTimeout(one);
      monitor?.close();
      unsubscribe();
      await plane?.close();
      await bridges.stop();
    },
  };
}

/** Who this host is among the others, and which run of its daemon speaks. */
function nextRun(store: Store): { readonly node: string; readonly epoch: number } {
  const table = store.table<{ readonly node: string; readonly epoch: number }>('overlay.node', { version: 1 });
  const before = table.get('self');
  const run = { node: before?.node ?? randomUUID(), epoch: (before?.epoch ?? 0) + 1 };
  table.put('self', run);
  return run;
}
