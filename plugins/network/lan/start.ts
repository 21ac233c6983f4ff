/** One of the two drivers as the daemon wires it. */
import { monitorRoutes } from '../../linux/netlink/route-socket.ts';
import { hostEndName } from '../link/names.ts';
import type { NetworkPart, PurgeItem } from '../parts.ts';
import { LanDriver, type LanKind, type LanParts } from './driver.ts';
import { accessName } from './host-access.ts';
import { checkEndpoints, restoreLan } from './restore.ts';

const checkMs = 10_000;
/** From the news of a link to the look at what it means: a parent that comes back brings several. */
const settleMs = 200;

export function startLan(kind: LanKind, parts: Omit<LanParts, 'log'>): NetworkPart {
  const log = parts.context.log.child({ driver: kind.name });
  const driver = new LanDriver(kind, { ...parts, log });
  const startedAt = Date.now();
  restoreLan(driver);
  let timer: NodeJS.Timeout | undefined;
  let soon: NodeJS.Timeout | undefined;
  let monitor: { close(): void } | undefined;
  let checking: Promise<void> = Promise.resolve();
  const check = () => {
    soon = undefined;
    checking = checking
      .then(async () => {
        for (const [, network] of driver.records.networks.entries()) {
          if (driver.parents.find(driver.wish(network)) === undefined) restoreLan(driver);
        }
        await checkEndpoints(driver, startedAt);
      })
      .catch((error: unknown) => log.warn({ err: error }, 'parents and endpoints could not be looked at'));
  };
  const checkSoon = () => {
    soon ??= setTimeout(check, settleMs).unref();
  };
  return {
    plugins: [{ name: kind.name, network: driver }],
    links: () => [
      ...driver.parents.names(),
      ...driver.records.networks.entries().map(([networkId]) => accessName(networkId)),
      ...driver.records.endpoints.entries().map(([endpointId]) => hostEndName(endpointId)),
    ],
    started: () => {
      check();
      timer = setInterval(check, checkMs).unref();
      monitor = monitorRoutes({
        topics: ['link'],
        onChange: (change) => {
          if (change.kind === 'link' && driver.records.networks.entries().length > 0) checkSoon();
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

async function purge(driver: LanDriver, dryRun: boolean): Promise<PurgeItem[]> {
  const items: PurgeItem[] = [];
  for (const [networkId] of driver.records.networks.entries()) {
    const count = driver.endpointsOf(networkId).length;
    items.push({
      kind: 'network',
      name: `${networkId.slice(0, 12)} (${driver.kind.kind})`,
      ...(count > 0 && { kept: `${count} endpoint${count === 1 ? '' : 's'}` }),
    });
    if (!dryRun && count === 0) await driver.deleteNetwork({ networkId });
  }
  return items;
}
