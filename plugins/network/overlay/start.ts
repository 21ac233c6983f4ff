/** cleat-overlay as the daemon wires it. */
import type { FastifyInstance } from 'fastify';
import { monitorRoutes } from '../../linux/netlink/route-socket.ts';
import { noServiceOptions, type ServiceOptions } from '../bridge/options.ts';
import { runBridges } from '../bridge/start.ts';
import type { Directory } from '../dns/directory.ts';
import { vxlanName } from '../link/names.ts';
import type { NetworkPart, NetworkParts } from '../parts.ts';
import { networkRows, overlayRoutes } from './control.ts';
import { OverlayDriver } from './driver.ts';
import type { MemberParts } from './member.ts';
import { driverName, type OverlayOptions, overlaySchema } from './options.ts';
import type { Planes } from './planes.ts';

const checkMs = 5000;
/** After the news that a link is gone: longer than the bridge takes to be built again. */
const settleMs = 400;
/** Changes that come together are put into the kernel together. */
const gatherMs = 5;
const longestGatherMs = 200;

export interface OverlayPart extends NetworkPart {
  /** From now on names are shared too. */
  follow(directory: Directory): void;
  control(app: FastifyInstance): void;
}

/** Reads the records and takes part again. The planes are closed with it. */
export function startOverlay(
  parts: NetworkParts,
  planes: Planes,
  services: ServiceOptions = noServiceOptions,
): OverlayPart {
  const log = parts.context.log.child({ driver: driverName });
  const changed = new Set<string>();
  let gathering: NodeJS.Timeout | undefined;
  let soon: NodeJS.Timeout | undefined;
  let timer: NodeJS.Timeout | undefined;
  let monitor: { close(): void } | undefined;
  let pauseMs = gatherMs;
  const settleChanged = () => {
    gathering = undefined;
    const began = performance.now();
    for (const member of driver.members.values()) if (changed.has(member.options.name)) member.settle();
    changed.clear();
    // Large networks under many changes take a fifth of the time, not all of it.
    pauseMs = Math.min(longestGatherMs, Math.max(gatherMs, 4 * (performance.now() - began)));
  };
  planes.onChange = (names) => {
    for (const name of names) changed.add(name);
    gathering ??= setTimeout(settleChanged, pauseMs);
  };
  const member = (options: OverlayOptions): MemberParts => ({
    socket: parts.socket,
    registry: parts.registry,
    plane: planes.of(options),
    config: planes.config,
    log,
  });
  const driver = new OverlayDriver({
    ...parts,
    services: { ...services, network: { ...services.network, ...overlaySchema }, driver: driverName },
    log,
    now: () => new Date(),
    config: planes.config,
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
    control: (app) => overlayRoutes(app, driver, planes),
    status: () => ({ overlays: networkRows(driver) }),
    reload: async (next) => {
      planes.reload(next['overlay']);
    },
    stop: async () => {
      for (const one of [gathering, soon, timer]) clearTimeout(one);
      monitor?.close();
      unsubscribe();
      await planes.close();
      await bridges.stop();
    },
  };
}
