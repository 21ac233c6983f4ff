/**
 * The leases: on disk before an engine is answered, renewed while somebody uses them, given back when nobody does for a while.
 *
 * A renewal asks by broadcast for the address that we have (INIT-REBOOT, RFC 2131 §4.3.2): the answer of an ordinary renewal
 * would go to the container, which knows nothing of it. A server that is away is asked again, more often towards the end.
 */
import { findLink } from '../../linux/netlink/link.ts';
import type { RouteSocket } from '../../linux/netlink/route-socket.ts';
import type { Store } from '../../store/store.ts';
import { type DhcpClient, release, request } from './client.ts';
import { type DhcpRecords, type LeaseRecord, leaseKey, openDhcpRecords } from './records.ts';

const longestTimerMs = 2 ** 31 - 1;
const retryFloorMs = 5000;
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
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #abort = new AbortController();

  constructor(store: Store, socket: RouteSocket, log: Log) {
    this.records = openDhcpRecords(store);
    this.#socket = socket;
    this.#log = log;
  }

  /** Goes on with what the records say. */
  start(): void {
    for (const [, lease] of this.records.leases.entries()) this.#schedule(lease, Math.random() * firstSpreadMs);
  }

  stop(): void {
    this.#abort.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  of(poolId: string): LeaseRecord[] {
    return this.records.leases.entries(`${poolId} `).map(([, lease]) => lease);
  }

  /** By address, whichever pool: what else the server said of it. */
  find(address: string): LeaseRecord | undefined {
    return this.records.leases.entries().find(([, lease]) => lease.address === address)?.[1];
  }

  keep(lease: LeaseRecord): void {
    this.records.leases.put(leaseKey(lease), lease);
    this.#schedule(lease, 0);
  }

  /** Nobody uses it any more; it is given back when the pool's time to linger has passed. Nothing for an unknown one. */
  park(poolId: string, address: string): void {
    const lease = this.records.leases.get(leaseKey({ poolId, address }));
    if (lease === undefined || lease.releasedAt !== undefined) return;
    const parked = { ...lease, releasedAt: Date.now() };
    this.records.leases.put(leaseKey(lease), parked);
    this.#schedule(parked, 0);
  }

  giveBack(lease: LeaseRecord): void {
    const key = leaseKey(lease);
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
    const client = this.#client(lease);
    try {
      if (client !== undefined) release(client, lease.address, lease.serverId);
    } catch (error) {
      this.#log.warn({ err: error, address: lease.address }, 'a lease could not be given back; it ends by itself');
    }
    this.records.leases.delete(key);
  }

  #schedule(lease: LeaseRecord, extraMs: number): void {
    const key = leaseKey(lease);
    clearTimeout(this.#timers.get(key));
    const dueAt =
      lease.releasedAt === undefined
        ? renewAt(lease)
        : lease.releasedAt + (this.records.pools.get(lease.poolId)?.lingerMs ?? 0);
    if (dueAt === undefined) return;
    const waitMs = Math.min(Math.max(dueAt - Date.now(), 0) + extraMs, longestTimerMs);
    this.#timers.set(key, setTimeout(() => void this.#due(key), waitMs).unref());
  }

  async #due(key: string): Promise<void> {
    const lease = this.records.leases.get(key);
    if (lease === undefined || this.#abort.signal.aborted) return;
    if (lease.releasedAt !== undefined) return this.giveBack(lease);
    try {
      await this.#renew(lease);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#trouble(key, lease, (error as Error).message);
    }
  }

  async #renew(lease: LeaseRecord): Promise<void> {
    const key = leaseKey(lease);
    const client = this.#client(lease);
    if (client === undefined) return this.#trouble(key, lease, 'the parent interface is not there');
    const reply = await request(client, lease.address, undefined, this.#abort.signal);
    // Released or removed while the server was asked.
    const now = this.records.leases.get(key);
    if (now === undefined) return;
    if (reply.type === 'nak')
      return this.#trouble(
        key,
        now,
        `the server takes ${lease.address} back${reply.message ? `: ${reply.message}` : ''}`,
      );
    const { trouble, ...healthy } = now;
    if (trouble !== undefined) this.#log.info({ address: lease.address }, 'the lease is renewed again');
    const leaseSeconds = reply.leaseSeconds ?? lease.leaseSeconds;
    const renewed: LeaseRecord = {
      ...healthy,
      obtainedAt: Date.now(),
      ...(leaseSeconds !== undefined && {
        leaseSeconds,
        renewSeconds: reply.renewalSeconds ?? Math.floor(leaseSeconds / 2),
      }),
    };
    this.keep(renewed);
  }

  /** Kept and shown: the container has the address whether the server is there or not. Asked again in the background. */
  #trouble(key: string, lease: LeaseRecord, trouble: string): void {
    if (lease.trouble !== trouble) this.#log.warn({ address: lease.address, trouble }, 'a lease could not be renewed');
    this.records.leases.put(key, { ...lease, trouble });
    const leftMs = lease.obtainedAt + (lease.leaseSeconds ?? 0) * 1000 - Date.now();
    const waitMs = Math.min(Math.max(leftMs / 4, retryFloorMs), 60_000);
    this.#timers.set(key, setTimeout(() => void this.#due(key), waitMs).unref());
  }

  #client(lease: LeaseRecord): DhcpClient | undefined {
    const pool = this.records.pools.get(lease.poolId);
    const link = pool && findLink(this.#socket, pool.parent);
    if (pool === undefined || link === undefined) return undefined;
    return {
      link: link.index,
      linkName: link.name,
      mac: lease.mac,
      clientId: Buffer.from(lease.clientId, 'hex'),
      ...(pool.hostNames && lease.container !== undefined && { hostName: lease.container }),
    };
  }
}

function renewAt(lease: LeaseRecord): number | undefined {
  return lease.renewSeconds === undefined ? undefined : lease.obtainedAt + lease.renewSeconds * 1000;
}
