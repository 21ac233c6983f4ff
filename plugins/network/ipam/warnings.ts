/** What the user should hear of before it hurts: pools that are nearly full, and routes of the host that get in a pool's way. */
import type { Logger } from 'pino';
import { monitorRoutes } from '../../linux/netlink/route-socket.ts';
import type { Netns } from '../../linux/netns.ts';
import { formatCidr } from '../address/cidr.ts';
import { type HostView, readHostView } from './host-blocks.ts';
import type { Ledger, PoolEntry } from './ledger.ts';
import { findOverlaps, overlapMessage } from './overlaps.ts';

export interface PoolWarning {
  readonly code: 'IPAM_POOL_FULL' | 'IPAM_POOL_OVERLAP';
  readonly poolId: string;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface WarningsParts {
  readonly ledger: Ledger;
  readonly log: Logger;
  readonly now: () => number;
  /** The engine's namespace; default the caller's. */
  readonly netns?: Netns;
}

/** Routes come in bursts (a VPN writes dozens), and an interface's address follows its route: look when it is quiet again. */
const settleMs = 500;

export class Warnings {
  readonly #parts: WarningsParts;
  readonly #nearFull = new Map<string, PoolWarning>();
  #overlaps = new Map<string, PoolWarning>();
  #monitor: { close(): void } | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: WarningsParts) {
    this.#parts = parts;
    for (const entry of parts.ledger.pools()) this.checkUse(entry);
  }

  /** Follows the host's routes and addresses from now on. Throws KernelError. */
  watchHost(): void {
    this.checkHost();
    const { netns } = this.#parts;
    this.#monitor = monitorRoutes({
      topics: ['route', 'address'],
      onChange: () => this.#checkSoon(),
      onLost: () => this.#checkSoon(),
      ...(netns && { netns }),
    });
  }

  /** Those of pools that still exist. */
  list(): PoolWarning[] {
    const all = [...this.#nearFull.values(), ...this.#overlaps.values()];
    return all.filter(({ poolId }) => this.#parts.ledger.find(poolId) !== undefined);
  }

  /** Warns once when a pool's use reaches its threshold, and again only after it has been below. */
  checkUse(entry: PoolEntry): void {
    const { poolId, pool, cidr } = entry;
    if (!isNearFull(entry)) {
      if (this.#nearFull.delete(poolId)) this.#parts.log.info({ pool: poolId }, 'pool has room again');
      return;
    }
    if (this.#nearFull.has(poolId)) return;
    const message = `pool ${formatCidr(cidr)} is nearly full: ${pool.used} of ${pool.size} addresses are in use`;
    this.#nearFull.set(poolId, { code: 'IPAM_POOL_FULL', poolId, message, since: this.#parts.now() });
    this.#parts.log.warn({ pool: poolId, used: pool.used, size: String(pool.size) }, message);
  }

  /** Compares all pools with the host as it is now. */
  checkHost(): void {
    const { ledger, log, now, netns } = this.#parts;
    const pools = ledger.pools().filter((entry) => entry.record.space === 'cleat-local');
    const host: HostView = pools.length === 0 ? { blocks: [], addresses: [] } : readHostView(netns);
    const current = new Map<string, PoolWarning>();
    for (const [poolId, texts] of findOverlaps(pools, host)) {
      const entry = ledger.find(poolId)!;
      for (const text of texts) {
        if (entry.record.knownOverlaps.includes(text)) continue;
        const key = `${poolId} ${text}`;
        const message = overlapMessage(entry, text);
        const earlier = this.#overlaps.get(key);
        current.set(key, earlier ?? { code: 'IPAM_POOL_OVERLAP', poolId, message, since: now() });
        if (earlier === undefined) log.warn({ pool: poolId, host: text }, message);
      }
    }
    for (const [key, { poolId, message }] of this.#overlaps) {
      if (!current.has(key) && ledger.find(poolId) !== undefined) log.info({ pool: poolId }, `no longer: ${message}`);
    }
    this.#overlaps = current;
  }

  close(): void {
    this.#monitor?.close();
    clearTimeout(this.#timer);
  }

  #checkSoon(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      try {
        this.checkHost();
      } catch (error) {
        this.#parts.log.error({ err: error }, "the host's routes could not be read");
      }
    }, settleMs);
  }
}

function isNearFull({ pool }: PoolEntry): boolean {
  return pool.size > 0n && BigInt(pool.used) * 100n >= pool.size * BigInt(pool.settings.warnPercent);
}
