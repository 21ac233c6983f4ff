/** cleat-overlay as the daemon wires it. */
import type { FastifyInstance } from 'fastify';
import { monitorRoutes } from '../../linux/netlink/route-socket.ts';
import { parseCidr } from '../address/cidr.ts';
import { noServiceOptions, type ServiceOptions } from '../bridge/options.ts';
import { runBridges } from '../bridge/start.ts';
import type { Directory } from '../dns/directory.ts';
import { vxlanName } from '../link/names.ts';
import type { NetworkPart, NetworkParts } from '../parts.ts';
import { networkRows, overlayRoutes } from './control.ts';
import { Direct } from './direct/direct.ts';
import { OverlayDriver } from './driver.ts';
import { dropStrayRoutes } from './forwarding.ts';
import { queryIntervalSeconds } from './igmp.ts';
import type { MemberParts } from './member.ts';
import { driverName, type OverlayOptions, overlaySchema } from './options.ts';
import type { Planes } from './planes.ts';
import { Prober, type ProbeUse } from './probe/prober.ts';
import { Tunnel } from './tunnel/tunnel.ts';
import { overlayMtu } from './underlay.ts';

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
  let settledAt = 0;
  const settleChanged = () => {
    gathering = undefined;
    const began = performance.now();
    for (const member of driver.members.values()) if (changed.has(member.options.name)) member.settle();
    changed.clear();
    prober.update(probeUse(driver));
    // Large networks under many changes take a fifth of the time, not all of it.
    settledAt = performance.now();
    pauseMs = Math.min(longestGatherMs, Math.max(gatherMs, 4 * (settledAt - began)));
  };
  planes.onChange = (names) => {
    for (const name of names) changed.add(name);
    gathering ??= setTimeout(settleChanged, Math.max(gatherMs, settledAt + pauseMs - performance.now()));
  };
  const tunnel = new Tunnel({
    ...parts,
    port: () => planes.config().tunnelPort,
    rotateMs: () => planes.config().rotateMs,
    onChange: () => {
      for (const one of driver.members.values()) one.tellAttributes();
    },
    log,
  });
  const direct = new Direct(parts);
  const prober = new Prober({ socket: parts.socket, log });
  const member = (options: OverlayOptions): MemberParts => ({
    socket: parts.socket,
    registry: parts.registry,
    plane: planes.of(options),
    config: planes.config,
    tunnel,
    direct,
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
  driver.onGone = () => prober.update(probeUse(driver));
  const bridges = runBridges(driver, driverName);
  driver.restoreMembers();
  const unsubscribe = parts.registry.subscribe((event) => {
    if (!('endpoint' in event)) return;
    const one = driver.members.get(event.network.networkId);
    if (event.kind === 'endpoint-removed') one?.forget(event.endpoint.endpointId);
    else one?.tell(event.endpoint);
  });
  const needsLink = (name: string) => driver.needsLink(name) || [...tunnel.links(), ...prober.links()].includes(name);
  const check = () => {
    soon = undefined;
    driver.checkMembers();
    tunnel.check();
    prober.settle(probeUse(driver));
  };
  let telling: NodeJS.Timeout | undefined;
  const groupsChanged = (bridge: number) => {
    // A container joins with several reports, and ours are announced too.
    if (![...driver.members.values()].some((one) => one.hasGroups(bridge))) return;
    telling ??= setTimeout(() => {
      telling = undefined;
      for (const one of driver.members.values()) {
        if (!one.hasGroups(bridge)) continue;
        one.tellAttributes();
        one.settle();
      }
    }, gatherMs).unref();
  };
  let asking: NodeJS.Timeout | undefined;
  return {
    ...bridges,
    links: () => [
      ...bridges.links(),
      ...[...driver.members.values()].map(({ options }) => vxlanName(options.vni)),
      ...tunnel.links(),
      ...prober.links(),
    ],
    started: () => {
      bridges.started?.();
      tunnel.started();
      direct.started();
      dropStrayRoutes(
        parts.socket,
        driver.known().flatMap(({ pools }) => pools.map(parseCidr)),
      );
      timer = setInterval(check, checkMs).unref();
      asking = setInterval(() => {
        for (const one of driver.members.values()) one.askGroups();
      }, queryIntervalSeconds * 1000).unref();
      monitor = monitorRoutes({
        topics: ['link', 'group', 'neighbour'],
        onChange: (change) => {
          if (change.kind === 'fdb' || change.kind === 'neighbour')
            for (const one of driver.members.values()) one.heard(change);
          if (change.kind === 'group') groupsChanged(change.entry.table);
          if (change.kind === 'link' && change.change === 'deleted' && needsLink(change.link.name))
            soon ??= setTimeout(check, settleMs).unref();
        },
        onLost: () => {
          for (const one of driver.members.values()) one.missed();
          soon ??= setTimeout(check, settleMs).unref();
        },
      });
    },
    follow: (given) => {
      driver.onMember = (one) => one.follow(given);
      for (const one of driver.members.values()) one.follow(given);
      given.onZoneChanged(({ network }) => driver.members.get(network.networkId)?.tellAll());
    },
    control: (app) => overlayRoutes(app, { socket: parts.socket, driver, planes, tunnel, prober }),
    status: () => ({ overlays: networkRows({ driver, tunnel, prober }) }),
    reload: async (next) => {
      planes.reload(next['overlay']);
    },
    stop: async () => {
      for (const one of [gathering, soon, timer, telling, asking]) clearTimeout(one);
      monitor?.close();
      unsubscribe();
      await tunnel.stop();
      await prober.stop();
      await planes.close();
      await bridges.stop();
    },
  };
}

/** The ways that networks in clear take; the first one's, where hosts and ports differ. */
function probeUse({ members }: OverlayDriver): ProbeUse | undefined {
  const clear = [...members.values()].filter(({ options, underlay }) => !options.encrypted && underlay !== undefined);
  const [first] = clear;
  if (!first?.underlay) return undefined;
  const { address: host } = first.underlay;
  const { port } = first.options;
  const like = clear.filter(({ options, underlay }) => options.port === port && underlay?.address === host);
  const peers = like.flatMap(({ remotes }) =>
    remotes.filter(({ problem }) => problem === undefined).map((one) => one.host),
  );
  return {
    host,
    port,
    mtu: overlayMtu(first.underlay, false),
    peers: [...new Set(peers)],
    links: like.map(({ options }) => vxlanName(options.vni)),
  };
}
