/** What our own network drivers say is in use: the networks and endpoints of this process. */
import type { NetworkRegistry } from '../registry.ts';
import type { LiveReport } from './live-report.ts';

export const driverSource = 'drivers';

/** Drivers do not know which IPAM a network uses, nor its auxiliary addresses: `ours` is false, and `auxiliary` absent. */
export function readDriverReport(registry: NetworkRegistry, takenAt: number): LiveReport {
  const networks = registry.networks().map(({ networkId, pools }) => ({
    networkId,
    ours: false,
    pools: pools.map(({ pool }) => ({ pool })),
    addresses: registry.endpoints(networkId).flatMap(({ addresses }) => addresses.map((address) => ({ address }))),
  }));
  return { source: driverSource, takenAt, networks };
}
