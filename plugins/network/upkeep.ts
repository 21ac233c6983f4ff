/**
 * What a driver does as long as it runs: looks whether kernel and records agree, at the start, every 10 s, and soon after a
 * link that it cares for has come, changed or gone. And what all drivers leave of their networks when the host is cleaned up.
 */
import { RTM_DELLINK, RTM_NEWLINK, readLink } from '../linux/netlink/link.ts';
import { NetlinkMonitor } from '../linux/netlink/monitor.ts';
import { NETLINK_ROUTE } from '../linux/netlink/socket.ts';
import type { PurgeItem } from './parts.ts';

/** <linux/rtnetlink.h> */
const RTNLGRP_LINK = 1;
const checkMs = 10_000;
/** From the news of a link to the look at what it means: the end of a container, or a parent that comes back, brings several. */
const settleMs = 200;

export interface UpkeepOptions {
  readonly look: () => Promise<void> | void;
  /** Whether news of a link are worth a look. `name` reads it from the message: not asked for, it costs nothing. */
  readonly concerns: (change: 'new' | 'deleted', name: () => string) => boolean;
  readonly log: { warn(fields: object, message: string): void };
}

/** Begins at once. Looks follow one another and never throw; `close` waits for the one under way. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #monitor: NetlinkMonitor;
  #soon: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#look();
    this.#timer = setInterval(() => this.#look(), checkMs).unref();
    this.#monitor = new NetlinkMonitor({
      protocol: NETLINK_ROUTE,
      groups: [RTNLGRP_LINK],
      onMessage: ({ type, body }) => {
        const change = type === RTM_NEWLINK ? 'new' : type === RTM_DELLINK ? 'deleted' : undefined;
        // In family AF_BRIDGE the same numbers tell of bridge ports.
        if (change === undefined || body.readUInt8(0) !== 0) return;
        if (options.concerns(change, () => readLink(body).name)) this.lookSoon();
      },
      onLost: () => this.lookSoon(),
    });
  }

  lookSoon(): void {
    this.#soon ??= setTimeout(() => this.#look(), settleMs).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    clearTimeout(this.#soon);
    this.#monitor.close();
    await this.#looking;
  }

  #look(): void {
    this.#soon = undefined;
    this.#looking = this.#looking
      .then(() => this.#options.look())
      .catch((error: unknown) => this.#options.log.warn({ err: error }, 'links and endpoints could not be looked at'));
  }
}

export interface PurgeCandidate {
  readonly networkId: string;
  /** What stands behind the id in the list: the bridge, the driver. */
  readonly label: string;
  readonly endpoints: number;
}

/** Networks without endpoints go; the engine that still knows one gets it back by removing and creating it. */
export async function purgeNetworks(
  candidates: readonly PurgeCandidate[],
  remove: (networkId: string) => Promise<void>,
  dryRun: boolean,
): Promise<PurgeItem[]> {
  const items: PurgeItem[] = [];
  for (const { networkId, label, endpoints } of candidates) {
    items.push({
      kind: 'network',
      name: `${networkId.slice(0, 12)} (${label})`,
      ...(endpoints > 0 && { kept: `${endpoints} endpoint${endpoints === 1 ? '' : 's'}` }),
    });
    if (!dryRun && endpoints === 0) await remove(networkId);
  }
  return items;
}
