/** cleat-bridge as the daemon wires it. */
import { hostEndName } from '../link/names.ts';
import type { NetworkPart, NetworkParts } from '../parts.ts';
import { purgeNetworks, Upkeep } from '../upkeep.ts';
import { BridgeDriver } from './driver.ts';
import { driverName, noServiceOptions, type ServiceOptions } from './options.ts';
import { dropStaleEndpoints, rebuildBridge, restoreBridges } from './restore.ts';

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
  let upkeep: Upkeep | undefined;
  return {
    plugins: [{ name, network: driver }],
    links: () => [
      ...driver.known().map(({ bridge }) => bridge),
      ...driver.records.endpoints.entries().map(([endpointId]) => hostEndName(endpointId)),
    ],
    started: () => {
      upkeep = new Upkeep({
        look: async () => {
          for (const { networkId } of driver.known()) rebuildBridge(driver, networkId);
          await dropStaleEndpoints(driver, startedAt);
        },
        // What we delete ourselves has no record any more by the time the kernel tells of it.
        concerns: (change, link) => change === 'deleted' && driver.needsLink(link()),
        log,
      });
    },
    stop: async () => upkeep?.close(),
    purge: (dryRun) =>
      purgeNetworks(
        driver.known().map(({ networkId, bridge }) => ({
          networkId,
          label: bridge,
          endpoints: driver.endpointsOf(networkId).length,
        })),
        (networkId) => driver.deleteNetwork({ networkId }),
        dryRun,
      ),
  };
}
