/** One of the two drivers as the daemon wires it. */
import { hostEndName } from '../link/names.ts';
import type { NetworkPart } from '../parts.ts';
import { purgeNetworks, Upkeep } from '../upkeep.ts';
import { LanDriver, type LanKind, type LanParts } from './driver.ts';
import { accessName } from './host-access.ts';
import { parentName } from './parent.ts';
import { checkEndpoints, checkNetworks, restoreLan } from './restore.ts';
import type { ParentUser } from './sharing.ts';

export interface LanPart extends NetworkPart {
  /** Its networks on a parent. */
  users(parent: string): ParentUser[];
}

export function startLan(kind: LanKind, parts: Omit<LanParts, 'log'>): LanPart {
  const log = parts.context.log.child({ driver: kind.name });
  const driver = new LanDriver(kind, { ...parts, log });
  const startedAt = Date.now();
  restoreLan(driver);
  parts.leases.onChange(() => driver.refreshNameServers());
  let upkeep: Upkeep | undefined;
  return {
    users: (parent) =>
      driver
        .networks()
        .filter(({ wish }) => parentName(wish) === parent)
        .map(({ record, mode }) => ({ networkId: record.networkId, mode })),
    plugins: [{ name: kind.name, network: driver }],
    links: () => [
      ...driver.parents.names(),
      ...driver.networks().map(({ record }) => accessName(record.networkId)),
      ...driver.records.endpoints.entries().map(([endpointId]) => hostEndName(endpointId)),
    ],
    started: () => {
      upkeep = new Upkeep({
        look: async () => {
          checkNetworks(driver);
          await checkEndpoints(driver, startedAt);
        },
        concerns: (_change, link) => driver.networks().length > 0 && driver.needsLink(link()),
        log,
      });
    },
    stop: async () => upkeep?.close(),
    purge: (dryRun) =>
      purgeNetworks(
        driver.networks().map(({ record: { networkId } }) => ({
          networkId,
          label: kind.kind,
          endpoints: driver.endpointsOf(networkId).length,
        })),
        (networkId) => driver.deleteNetwork({ networkId }),
        dryRun,
      ),
  };
}
