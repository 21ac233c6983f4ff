/**
 * The leases: on disk before an engine is answered, extended while somebody uses them, given back when nobody does for a while.
 *
 *     T1        the server that gave it is asked to extend it                     RENEWING
 *     T2        any server is                                                     REBINDING
 *     the end   it is lost: asked for anew, with the address that the container has
 *
 * RFC 2131 §4.4.5, RFC 8415 §18.2.4 and §18.2.5. A server that is away is asked again until then, and after the end too.
 */
import { findLink } from '../../linux/netlink/link.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import type { Store } from '../../store/store.ts';
import { findCidr, sameCidr } from '../address/cidr.ts';
import type { EngineContainer } from '../engine/container.ts';
import type { EngineWatch } from '../engine/watch.ts';
import { iaidOf, isKnownByMac } from './identity.ts';
import type { DhcpAsker, DhcpGrant, DhcpProtocol } from './protocol.ts';
import { type DhcpPoolRecord, type DhcpRecords, type LeaseRecord, leaseKey, openDhcpRecords } from './records.ts';
import { dhcp4 } from './v4/client.ts';
import { Dhcp6 } from './v6/client.ts';

const longestTimerMs = 2 ** 31 - 1;
const retryFloorMs = 5000;
const retryCeilingMs = 60_000;
/** Between the end of a container and its start again by one command. */
const restartMs = 5000;
/** How long an engine may be away, and with it its containers: the start of a host, an upgrade. */
const awayMs = 300_000;
/** After the start, renewals that are due already do not all go out at once. */
const firstSpreadMs = 2000;

interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export class Leases {
  readonly records: DhcpRecords;
  readonly #socket: RouteSocket;
  readonly #log: Log;
  readonly #dhcp6: DhcpProtocol;
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** Extensions under way: ended when the lease is. */
  readonly #extending = new Map<string, AbortController>();
  readonly #stop = new AbortController();
  readonly #listeners = new Set<() => void>();
  #engines: readonly Pick<EngineWatch, 'connected'>[] = [];

  constructor(store: Store, socket: RouteSocket, log: Log) {
    this.records = openDhcpRecords(store);
    this.#socket = socket;
    this.#log = log;
    this.#dhcp6 = new Dhcp6(socket);
  }

  /** Goes on with what the records say. After another start of the host nobody has an address: all wait for their containers. */
  start(bootId: string): void {
    const before = this.records.host.get('boot');
    for (const [key, lease] of this.records.leases.entries()) {
      if (before === undefined || before.bootId === bootId || lease.releasedAt !== undefined) continue;
      this.records.leases.put(key, { ...lease, releasedAt: Date.now() + awayMs });
    }
    if (before?.bootId !== bootId) this.records.host.put('boot', { bootId });
    for (const [, lease] of this.records.leases.entries()) this.#schedule(lease, Math.random() * firstSpreadMs);
  }

  stop(): void {
    this.#stop.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Called when the name servers of a lease, or what leases there are, have changed. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  protocolOf(pool: Pick<DhcpPoolRecord, 'pool'>): DhcpProtocol {
    return pool.pool.includes(':') ? this.#dhcp6 : dhcp4;
  }

  of(poolId: string): LeaseRecord[] {
    return this.records.leases.entries(`${poolId} `).map(([, lease]) => lease);
  }

  /** Bytes; undefined for an address that is no lease there. */
  findMtu(parent: string, address: string): number | undefined {
    return this.#poolsOn(parent)
      .map(({ poolId }) => this.records.leases.get(leaseKey({ poolId, address })))
      .find((lease) => lease !== undefined)?.mtu;
  }

  /** Of all leases, in the order of their pools; link-local ones with the parent as their zone. */
  nameServers(parent: string, pools: readonly string[]): string[] {
    const wanted = pools.flatMap((pool) => findCidr(pool) ?? []);
    const found = this.#poolsOn(parent)
      .filter(({ pool }) => {
        const cidr = findCidr(pool);
        return cidr !== undefined && wanted.some((other) => sameCidr(other, cidr));
      })
      .flatMap(({ poolId }) => this.of(poolId))
      .flatMap(({ nameServers }) => nameServers)
      .map((address) => (/^fe[89ab]/.test(address) ? `${address}%${parent}` : address));
    return [...new Set(found)];
  }

  isStandIn(parent: string, gateway: string): boolean {
    return this.#poolsOn(parent).some(({ standIn }) => standIn === gateway);
  }

  keep(lease: LeaseRecord): void {
    const before = this.records.leases.get(leaseKey(lease));
    this.records.leases.put(leaseKey(lease), lease);
    this.#schedule(lease, 0);
    if (String(before?.nameServers) !== String(lease.nameServers)) this.#tell();
  }

  /** Nobody uses it any more; it is given back when the pool's time to linger has passed. Nothing for an unknown one. */
  park(poolId: string, address: string): void {
    const lease = this.records.leases.get(leaseKey({ poolId, address }));
    if (lease !== undefined && lease.releasedAt === undefined) this.keep({ ...lease, releasedAt: Date.now() });
  }

  /** The containers that had them are gone, and their engine has not said so. */
  parkOn(parent: string, addresses: readonly string[]): void {
    for (const { poolId } of this.#poolsOn(parent)) for (const address of addresses) this.park(poolId, address);
  }

  hasEnded(lease: LeaseRecord): boolean {
    return endOf(lease, lease.leaseSeconds) <= Date.now();
  }

  /**
   * The lease of a container that has stopped, for one that starts with a MAC address that nobody knows: engines before 29 give
   * it another one at each start, and do not tell its name. Undefined where it may be one of several.
   */
  findReturning(poolId: string): LeaseRecord | undefined {
    const parked = this.of(poolId).filter(
      (lease) =>
        lease.releasedAt !== undefined && lease.container !== undefined && !lease.givenMac && isKnownByMac(lease),
    );
    const justNow = parked.filter(({ releasedAt = 0 }) => Date.now() - releasedAt < restartMs);
    const [only, ...others] = justNow.length > 0 ? justNow : parked;
    return others.length === 0 ? only : undefined;
  }

  /** Names of containers, and whether an engine is there that could start one. */
  follow(engines: readonly EngineWatch[]): void {
    this.#engines = engines;
    for (const engine of engines) {
      engine.subscribe((event) => {
        if (event.kind === 'container' && event.container.running) this.learn(event.container);
        if (event.kind === 'synchronised') this.#waitAgain();
      });
    }
  }

  /** What an engine tells by its API only: the servers hear the name with an extension at once. */
  learn({ name, givenMac, networks }: Pick<EngineContainer, 'name' | 'givenMac' | 'networks'>): void {
    for (const { addresses, macAddress } of networks) {
      for (const [key, lease] of this.records.leases.entries()) {
        const { mac, holder = mac, releasedAt, address } = lease;
        if (releasedAt !== undefined || holder !== macAddress || !addresses.includes(address)) continue;
        const known = { container: name, givenMac: givenMac === mac };
        if (lease.container === name && (lease.givenMac ?? false) === known.givenMac) continue;
        this.records.leases.put(key, { ...lease, ...known });
        if (lease.container !== name && this.records.pools.get(lease.poolId)?.hostNames) this.#lookIn(key, 0);
      }
    }
  }

  /** Its server has given its client another one. */
  forget(lease: LeaseRecord): void {
    this.#drop(lease, async () => {});
  }

  /** An engine is back: its containers have the whole time to come back too. */
  #waitAgain(): void {
    const now = Date.now();
    for (const [key, lease] of this.records.leases.entries()) {
      if (lease.releasedAt === undefined || lease.releasedAt >= now) continue;
      this.records.leases.put(key, { ...lease, releasedAt: now });
      this.#schedule({ ...lease, releasedAt: now }, 0);
    }
  }

  giveBack(lease: LeaseRecord): void {
    this.#drop(lease, (protocol, asker) => protocol.release(asker, grantOf(lease), this.#stop.signal));
  }

  /** Somebody else has the address. */
  decline(lease: LeaseRecord): void {
    this.#drop(lease, async (protocol, asker) => protocol.decline(asker, grantOf(lease)));
  }

  /** undefined while the parent is not there. */
  asker(
    pool: DhcpPoolRecord,
    client: { readonly mac: string; readonly clientId: string; readonly container?: string | undefined },
  ): DhcpAsker | undefined {
    const link = findLink(this.#socket, pool.parent);
    if (link === undefined) return undefined;
    return {
      link: link.index,
      linkName: link.name,
      mac: client.mac,
      clientId: Buffer.from(client.clientId, 'hex'),
      iaid: iaidOf(pool),
      ...(pool.hostNames && client.container !== undefined && { hostName: client.container }),
    };
  }

  /** The record goes at once; the server is told in the background. */
  #drop(lease: LeaseRecord, tell: (protocol: DhcpProtocol, asker: DhcpAsker) => Promise<void>): void {
    const key = leaseKey(lease);
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
    this.#extending.get(key)?.abort();
    const pool = this.records.pools.get(lease.poolId);
    const asker = pool && this.asker(pool, lease);
    this.records.leases.delete(key);
    this.#tell();
    if (pool === undefined || asker === undefined) return;
    tell(this.protocolOf(pool), asker).catch((error: unknown) => {
      if (this.#stop.signal.aborted) return;
      this.#log.warn({ err: error, address: lease.address }, 'a lease could not be given back; it ends by itself');
    });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #poolsOn(parent: string): DhcpPoolRecord[] {
    return this.records.pools
      .entries()
      .map(([, pool]) => pool)
      .filter((pool) => pool.parent === parent);
  }

  #schedule(lease: LeaseRecord, extraMs: number): void {
    const dueAt =
      lease.releasedAt === undefined ? endOf(lease, lease.renewSeconds) : lease.releasedAt + this.#lingerOf(lease);
    if (dueAt !== Number.POSITIVE_INFINITY) this.#lookIn(leaseKey(lease), Math.max(dueAt - Date.now(), 0) + extraMs);
  }

  /** Milliseconds from `releasedAt` on. */
  #lingerOf({ poolId }: LeaseRecord): number {
    const lingerMs = this.records.pools.get(poolId)?.lingerMs ?? 0;
    return this.#engines.some(({ connected }) => connected) ? lingerMs : Math.max(lingerMs, awayMs);
  }

  #lookIn(key: string, waitMs: number): void {
    clearTimeout(this.#timers.get(key));
    this.#timers.set(key, setTimeout(() => void this.#due(key), Math.min(waitMs, longestTimerMs)).unref());
  }

  async #due(key: string): Promise<void> {
    const lease = this.records.leases.get(key);
    if (lease === undefined || this.#stop.signal.aborted) return;
    if (lease.releasedAt !== undefined) {
      if (lease.releasedAt + this.#lingerOf(lease) <= Date.now()) this.giveBack(lease);
      else this.#schedule(lease, 0);
      return;
    }
    const ended = new AbortController();
    this.#extending.get(key)?.abort();
    this.#extending.set(key, ended);
    try {
      await this.#extend(key, lease, AbortSignal.any([this.#stop.signal, ended.signal]));
    } catch (error) {
      if (!this.#stop.signal.aborted && !ended.signal.aborted) this.#trouble(key, lease, (error as Error).message);
    } finally {
      if (this.#extending.get(key) === ended) this.#extending.delete(key);
    }
  }

  async #extend(key: string, lease: LeaseRecord, signal: AbortSignal): Promise<void> {
    const pool = this.records.pools.get(lease.poolId);
    const asker = pool && this.asker(pool, lease);
    if (pool === undefined || asker === undefined) throw new Error('the parent interface is not there');
    const protocol = this.protocolOf(pool);
    const grant = await this.#ask(protocol, asker, lease, signal);
    // Released or removed while the server was asked.
    const now = this.records.leases.get(key);
    if (now === undefined || signal.aborted) return;
    if (grant.address !== lease.address) {
      await protocol.release(asker, grant, signal);
      throw new Error(`the server gives ${grant.address} instead; start the container again to take it`);
    }
    const { trouble, ...healthy } = now;
    if (trouble !== undefined) this.#log.info({ address: lease.address }, 'the lease is extended again');
    const { routers: _routers, subnet: _subnet, ...extended } = grant;
    this.keep({ ...healthy, ...extended, obtainedAt: Date.now() });
  }

  #ask(protocol: DhcpProtocol, asker: DhcpAsker, lease: LeaseRecord, signal: AbortSignal): Promise<DhcpGrant> {
    const now = Date.now();
    const endAt = endOf(lease, lease.leaseSeconds);
    if (this.hasEnded(lease)) return protocol.obtain(asker, lease.address, signal);
    const rebindAt = endOf(lease, lease.rebindSeconds ?? lease.leaseSeconds);
    const phase = now >= rebindAt ? ('rebind' as const) : ('renew' as const);
    const untilMs = phase === 'renew' ? rebindAt : endAt;
    const onSilence = () => this.#note(lease, `no DHCP server answers on ${asker.linkName}`);
    return protocol.extend(asker, grantOf(lease), { phase, untilMs, onSilence }, signal);
  }

  /** Kept and shown: the container has the address whether the server is there or not. Asked again in the background. */
  #trouble(key: string, lease: LeaseRecord, trouble: string): void {
    this.#note(lease, trouble);
    const leftMs = endOf(lease, lease.leaseSeconds) - Date.now();
    this.#lookIn(key, Math.min(Math.max(leftMs / 4, retryFloorMs), retryCeilingMs));
  }

  #note(asked: LeaseRecord, trouble: string): void {
    const lease = this.records.leases.get(leaseKey(asked));
    if (lease === undefined || lease.releasedAt !== undefined) return;
    const words = this.hasEnded(lease) ? `lost: ${trouble}` : trouble;
    if (lease.trouble === words) return;
    this.#log.warn({ address: lease.address, container: lease.container, trouble: words }, 'a lease is not extended');
    this.records.leases.put(leaseKey(lease), { ...lease, trouble: words });
  }
}

/** Milliseconds since 1970; infinity for what has no end. */
function endOf(lease: LeaseRecord, seconds: number | undefined): number {
  return seconds === undefined ? Number.POSITIVE_INFINITY : lease.obtainedAt + seconds * 1000;
}

function grantOf(lease: LeaseRecord): DhcpGrant {
  return { ...lease, routers: [] };
}
