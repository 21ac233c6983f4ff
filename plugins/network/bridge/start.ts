/** cleat-bridge as the daemon wires it. */

import { RTM_DELLINK, readLink } from '../../linux/netlink/link.ts';
import { NetlinkMonitor } from '../../linux/netlink/monitor.ts';
import { NETLINK_ROUTE } from '../../linux/netlink/socket.ts';
import { hostEndName } from '../link/names.ts';
import type { NetworkPart, NetworkParts, PurgeItem } from '../parts.ts';
import { BridgeDriver } from './driver.ts';
import { driverName, noServiceOptions, type ServiceOptions } from './options.ts';
import { dropStaleEndpoints, rebuildBridge, restoreBridges } from './restore.ts';

/** <linux/rtnetlink.h> */
const RTNLGRP_LINK = 1;
const staleCheckMs = 10_000;
/** From the news that a link is gone to the look at what it was for: a container's end brings several. */
const settleMs = 200;

/** Reads the records and brings the kernel to them; rules are noted in the firewall and written by the caller. */
export function startBridge(parts: NetworkParts, services: ServiceOptions = noServiceOptions): NetworkPart {
  const log = parts.context.log.child({ driver: driverName });
  return runBridges(new BridgeDriver({ ...parts, services, log, now: () => new Date() }), driverName);
}

/** For every driver whose networks are bridges: restored now, watched from `started` on. */
export function runBridges(driver: BridgeDriver, name: string): NetworkPart {
  const { log } = driver.parts;
  const startedAt = Date.now();
  restoreBridges(driver);
  let timer: NodeJS.Timeout | undefined;
  let soon: NodeJS.Timeout | undefined;
  let monitor: { close(): void } | undefined;
  let checking: Promise<void> = Promise.resolve();
  const check = () => {
    soon = undefined;
    checking = checking
      .then(async () => {
        for (const { networkId } of driver.known()) rebuildBridge(driver, networkId);
        await dropStaleEndpoints(driver, startedAt);
      })
      .catch((error: unknown) => log.warn({ err: error }, 'stale endpoints could not be looked for'));
  };
  const checkSoon = () => {
    soon ??= setTimeout(check, settleMs).unref();
  };
  return {
    plugins: [{ name, network: driver }],
    links: () => [
      ...driver.known().map(({ bridge }) => bridge),
      ...driver.records.endpoints.entries().map(([endpointId]) => hostEndName(endpointId)),
    ],
    started: () => {
      check();
      timer = setInterval(check, staleCheckMs);
      timer.unref();
      monitor = new NetlinkMonitor({
        protocol: NETLINK_ROUTE,
        groups: [RTNLGRP_LINK],
        // What we delete ourselves has no record any more by the time the kernel tells of it. New links are not even read.
        onMessage: ({ type, body }) => {
          if (type === RTM_DELLINK && driver.needsLink(readLink(body).name)) checkSoon();
        },
        onLost: checkSoon,
      });
    },
    stop: async () => {
      clearInterval(timer);
      clearTimeout(soon);
      monitor?.close();
      await checking;
    },
    purge: (dryRun) => purge(driver, dryRun),
  };
}

/** Networks without endpoints go; the engine that still knows one gets it back by removing and creating it. */
async function purge(driver: BridgeDriver, dryRun: boolean): Promise<PurgeItem[]> {
  const items: PurgeItem[] = [];
  for (const { networkId, bridge } of driver.known()) {
    const count = driver.endpointsOf(networkId).length;
    items.push({
      kind: 'network',
      name: `${networkId.slice(0, 12)} (${bridge})`,
      ...(count > 0 && { kept: `${count} endpoint${count === 1 ? '' : 's'}` }),
    });
    if (!dryRun && count === 0) await driver.deleteNetwork({ networkId });
  }
  return items;
}
