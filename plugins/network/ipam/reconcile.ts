/**
 * Finds allocations whose owner is gone, and owners that have no allocation. Engines forget releases (a plugin that was down
 * for 15 s is never told), so the records alone only ever grow.
 *
 *     pool        claimed by a source ──► its sources stop listing it ──► grace ──► dropped
 *     address     listed by a source  ──► none of them lists it       ──► grace ──► released as if asked to
 *     listed, no record               ──► taken in at once
 *
 * Who may free: only the sources that claimed the pool themselves, and only when each of them has reported since. An engine
 * that is down, or one that nobody watches, therefore keeps all it had. A pool that nobody ever claimed is what is left of a
 * network whose creation failed: it is dropped when it holds nothing but what a creation asks for.
 * Wrong in between is harmless: a record taken in too much is missing in the next reports and goes again.
 */
import type { Logger } from 'pino';
import { type Cidr, cidrHasIp, cidrsOverlap, formatCidr, parseCidr } from '../address/cidr.ts';
import { findIp } from '../address/ip.ts';
import { type AddressChange, addressText, type Ledger, type PoolEntry } from './ledger.ts';
import type { LiveNetwork, LivePool, LiveReport } from './live-report.ts';
import type { AllocatedAddress } from './pool.ts';
import { type PoolClaim, type PoolRecord, poolIdOf } from './records.ts';

export interface ReconcilerParts {
  readonly ledger: Ledger;
  readonly log: Logger;
  readonly graceMs: () => number;
  readonly now: () => number;
  /** Bare IPs of the host. */
  readonly hostAddresses: () => readonly string[];
}

/** An address is asked for before its endpoint exists: younger ones are never called missing. */
const settleMs = 10_000;

/** One source lists one pool. */
interface Listing {
  readonly source: string;
  readonly takenAt: number;
  readonly network: LiveNetwork;
  readonly pool: LivePool;
}

/** What the listings of one pool say together. */
interface PoolView {
  readonly claims: Readonly<Record<string, PoolClaim>>;
  /** Number of the address → container's name, where known. */
  readonly live: ReadonlyMap<bigint, string | undefined>;
  /** undefined when no source knows them. */
  readonly auxiliary: ReadonlySet<bigint> | undefined;
}

export class Reconciler {
  readonly #parts: ReconcilerParts;
  readonly #reports = new Map<string, LiveReport>();
  readonly #orphanSince = new Map<string, number>();
  /** POOL_ID → ADDRESS → container's name, of the last reports. */
  readonly #containers = new Map<string, Map<bigint, string>>();

  constructor(parts: ReconcilerParts) {
    this.#parts = parts;
  }

  /** Takes a report in and does what follows from all of them. Never call it with a half report: that looks like a loss. */
  report(report: LiveReport): void {
    this.#reports.set(report.source, report);
    this.#takeInPools(report);
    const listings = this.#listings();
    for (const entry of this.#parts.ledger.pools()) {
      // The other space is a swarm manager's: its allocations belong to tasks of any node.
      if (entry.record.space !== 'cleat-local') continue;
      // An older report may list an earlier network with the same pool.
      const current = (listings.get(formatCidr(entry.cidr)) ?? []).filter(
        ({ takenAt }) => takenAt >= entry.record.createdAt,
      );
      this.#compare(entry, current, report.source);
    }
  }

  containerOf(entry: PoolEntry, value: bigint): string | undefined {
    return this.#containers.get(entry.poolId)?.get(value);
  }

  /** Sources and the time of their last report. */
  sources(): { readonly source: string; readonly takenAt: number }[] {
    return Array.from(this.#reports.values(), ({ source, takenAt }) => ({ source, takenAt }));
  }

  #compare(stale: PoolEntry, listings: readonly Listing[], latest: string): void {
    if (listings.length === 0) {
      this.#containers.delete(stale.poolId);
      this.#considerOrphan(stale);
      return;
    }
    const view = readView(stale.cidr, listings);
    const entry = this.#claim(stale, view);
    this.#orphanSince.delete(entry.poolId);
    const names = new Map<bigint, string>();
    for (const [value, name] of view.live) if (name !== undefined) names.set(value, name);
    this.#containers.set(entry.poolId, names);
    const since = this.#reportedSince(entry.record);
    const changes = since === undefined ? [] : this.#compareAddresses(entry, view, since);
    // Only the report that has just come is evidence: in an earlier one there may be what was released since.
    const fresh = readView(
      entry.cidr,
      listings.filter(({ source }) => source === latest),
    );
    changes.push(...this.#takeInAddresses(entry, fresh));
    this.#parts.ledger.change(entry, changes);
  }

  #compareAddresses(entry: PoolEntry, view: PoolView, since: number): AddressChange[] {
    const { log, now, graceMs } = this.#parts;
    const changes: AddressChange[] = [];
    for (const [value, record] of entry.pool.entries()) {
      if (record.state !== 'allocated' || record.kind === 'gateway') continue;
      // An engine knows better than the guess at the request.
      const auxiliary = view.auxiliary?.has(value) ?? record.kind === 'auxiliary';
      const kind = auxiliary ? 'auxiliary' : 'endpoint';
      if (record.kind !== kind) changes.push([value, { ...record, kind }]);
      if (auxiliary || view.live.has(value) || record.at + settleMs > since) {
        entry.pool.missingSince.delete(value);
        continue;
      }
      const missingSince = entry.pool.missingSince.get(value) ?? since;
      entry.pool.missingSince.set(value, missingSince);
      if (since - missingSince < graceMs()) continue;
      changes.push([value, entry.pool.chooseRelease(value, now())]);
      log.warn(
        { pool: entry.poolId, address: addressText(entry.cidr.family, value), owner: record.owner },
        'address freed: no endpoint has it any more',
      );
    }
    return changes;
  }

  /** Live addresses without an allocation: state was lost, or a release came for an endpoint that stayed. */
  #takeInAddresses(entry: PoolEntry, view: PoolView): AddressChange[] {
    const { now, graceMs, log } = this.#parts;
    const changes: AddressChange[] = [];
    for (const value of view.live.keys()) {
      const record = entry.pool.get(value);
      if (record?.state === 'allocated') continue;
      // An engine lists an endpoint until its end, and the release comes a moment before.
      if (record !== undefined && record.releasedAt + Math.max(graceMs(), settleMs) > now()) continue;
      const taken: AllocatedAddress = { state: 'allocated', kind: 'endpoint', serial: 0, explicit: true, at: now() };
      changes.push([value, taken]);
      log.warn(
        { pool: entry.poolId, address: addressText(entry.cidr.family, value) },
        'address taken in: an endpoint has it and there was no record',
      );
    }
    return changes;
  }

  #considerOrphan(entry: PoolEntry): void {
    const { ledger, log, graceMs } = this.#parts;
    const claimed = Object.keys(entry.record.claims).length > 0;
    const since = claimed ? this.#reportedSince(entry.record) : this.#unclaimedSince(entry);
    if (since === undefined || entry.record.createdAt + settleMs > since) return;
    const orphanSince = this.#orphanSince.get(entry.poolId) ?? since;
    this.#orphanSince.set(entry.poolId, orphanSince);
    if (since - orphanSince < graceMs()) return;
    this.#orphanSince.delete(entry.poolId);
    ledger.dropPool(entry.poolId);
    log.warn({ pool: entry.poolId, claims: entry.record.claims }, 'pool freed: its network is gone');
  }

  /** The oldest of the last reports of those who claimed the pool; undefined while one of them has not reported. */
  #reportedSince(record: PoolRecord): number | undefined {
    const times = Object.keys(record.claims).map((source) => this.#reports.get(source)?.takenAt);
    return times.every((time) => time !== undefined) && times.length > 0 ? Math.min(...times) : undefined;
  }

  /**
   * For a pool that nobody ever claimed. Without containers in it, and when the sources here are known to be users of this
   * IPAM (one of them claims another pool): a stranger's engine says nothing about our pools.
   */
  #unclaimedSince(entry: PoolEntry): number | undefined {
    for (const [, record] of entry.pool.entries()) {
      if (record.state === 'allocated' && record.kind === 'endpoint') return undefined;
    }
    const users = new Set(this.#parts.ledger.pools().flatMap(({ record }) => Object.keys(record.claims)));
    const engines = [...this.#reports.values()].filter(({ source }) => source.startsWith('engine:'));
    if (engines.length === 0 || !engines.some(({ source }) => users.has(source))) return undefined;
    return Math.min(...engines.map(({ takenAt }) => takenAt));
  }

  /** Records who claims the pool; a claim of a source that does not report goes when another has the same network. */
  #claim(entry: PoolEntry, view: PoolView): PoolEntry {
    const claims: Record<string, PoolClaim> = { ...entry.record.claims };
    const networks = new Set(Object.values(view.claims).map((claim) => claim.networkId));
    for (const [source, claim] of Object.entries(claims)) {
      if (!this.#reports.has(source) && networks.has(claim.networkId)) delete claims[source];
    }
    Object.assign(claims, view.claims);
    if (JSON.stringify(claims) === JSON.stringify(entry.record.claims)) return entry;
    this.#parts.ledger.replacePool(entry, { ...entry.record, claims });
    return this.#parts.ledger.find(entry.poolId) ?? entry;
  }

  #takeInPools({ networks, takenAt }: LiveReport): void {
    const { ledger, log } = this.#parts;
    this.#forgetReleases(takenAt);
    const local = ledger.pools().filter((entry) => entry.record.space === 'cleat-local');
    for (const network of networks.filter(({ ours }) => ours)) {
      for (const pool of network.pools) {
        const cidr = parseCidr(pool.pool);
        if (local.some((entry) => cidrsOverlap(entry.cidr, cidr)) || ledger.releases.has(idOf(pool))) continue;
        local.push(this.#takeInPool(pool, network, takenAt));
        log.warn(
          { pool: pool.pool, network: network.networkName ?? network.networkId },
          'pool taken in: a network has it and there was no record',
        );
      }
    }
  }

  /** An engine lists a network until its end, and the release of its pools comes a moment before. */
  #forgetReleases(takenAt: number): void {
    const { ledger, graceMs } = this.#parts;
    const old = takenAt - Math.max(graceMs(), settleMs);
    for (const [poolId, at] of ledger.releases) if (at <= old) ledger.releases.delete(poolId);
  }

  #takeInPool(live: LivePool, network: LiveNetwork, takenAt: number): PoolEntry {
    const { ledger, now } = this.#parts;
    const entry = ledger.addPool(idOf(live), {
      space: 'cleat-local',
      pool: formatCidr(parseCidr(live.pool)),
      ...(live.subPool === undefined ? {} : { subPool: formatCidr(parseCidr(live.subPool)) }),
      options: live.options ?? {},
      automatic: false,
      createdAt: takenAt,
      knownOverlaps: [],
      claims: {},
    });
    const taken = (kind: AllocatedAddress['kind']): AllocatedAddress => ({
      state: 'allocated',
      kind,
      serial: 0,
      explicit: true,
      at: now(),
    });
    const changes: AddressChange[] = valuesIn(entry.cidr, live.auxiliary ?? []).map((value) => [
      value,
      taken('auxiliary'),
    ]);
    const gateways = valuesIn(entry.cidr, live.gateway === undefined ? this.#hostAddresses() : [live.gateway]);
    // An engine does not tell a gateway that it left to us, and a macvlan's is not on the host: it was our first choice then.
    if (gateways.length === 0) gateways.push(entry.pool.choose({ kind: 'gateway' }, now()).value);
    const containers = new Set(
      valuesIn(
        entry.cidr,
        network.addresses.map(({ address }) => address),
      ),
    );
    for (const value of gateways) if (!containers.has(value)) changes.push([value, taken('gateway')]);
    ledger.change(entry, changes);
    return entry;
  }

  #hostAddresses(): readonly string[] {
    try {
      return this.#parts.hostAddresses();
    } catch (error) {
      this.#parts.log.error({ err: error }, "the host's addresses could not be read");
      return [];
    }
  }

  /** By pool, as text. */
  #listings(): Map<string, Listing[]> {
    const listings = new Map<string, Listing[]>();
    for (const { source, takenAt, networks } of this.#reports.values()) {
      for (const network of networks) {
        for (const pool of network.pools) {
          const key = formatCidr(parseCidr(pool.pool));
          listings.set(key, [...(listings.get(key) ?? []), { source, takenAt, network, pool }]);
        }
      }
    }
    return listings;
  }
}

/** Of the record that the pool has, or would have. */
function idOf({ pool, subPool }: LivePool): string {
  return poolIdOf(
    'cleat-local',
    formatCidr(parseCidr(pool)),
    subPool === undefined ? undefined : formatCidr(parseCidr(subPool)),
  );
}

function readView(cidr: Cidr, listings: readonly Listing[]): PoolView {
  const claims: Record<string, PoolClaim> = {};
  const live = new Map<bigint, string | undefined>();
  let auxiliary: Set<bigint> | undefined;
  for (const { source, network, pool } of listings) {
    const { networkId, networkName } = network;
    claims[source] = networkName === undefined ? { networkId } : { networkId, networkName };
    for (const { address, container } of network.addresses) {
      for (const value of valuesIn(cidr, [address])) live.set(value, container ?? live.get(value));
    }
    if (pool.auxiliary !== undefined) auxiliary = new Set([...(auxiliary ?? []), ...valuesIn(cidr, pool.auxiliary)]);
  }
  return { claims, live, auxiliary };
}

/** Those that are in the block: a network has one list of addresses for all its pools. */
function valuesIn(cidr: Cidr, addresses: readonly string[]): bigint[] {
  return addresses.flatMap((text) => {
    const ip = findIp(text);
    return ip !== undefined && cidrHasIp(cidr, ip) ? ip.value : [];
  });
}
