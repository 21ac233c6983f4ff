/** The control plane with etcd as its store: what this host has is written there, what others write there is followed. */
import type { Store, Table } from '../../../store/store.ts';
import { type Cidr, formatCidr, parseCidr } from '../../address/cidr.ts';
import { findIp } from '../../address/ip.ts';
import {
  applyChange,
  type ControlPlane,
  type NetworkChange,
  type PeerStatus,
  type RemotePart,
  type SharedNetwork,
  type StoreStatus,
} from '../control-plane.ts';
import { AddressBlocks } from './address-blocks.ts';
import type { EtcdConfig } from './config.ts';
import { remove } from './connection.ts';
import { defineNetwork, removeUnused } from './definition.ts';
import { Keys } from './keys.ts';
import { NetworkSync } from './network-sync.ts';
import { type Session, SessionKeeper, storeError } from './session.ts';

const longestRenewalMs = 10_000;
/** For all that a verb asks of the store. */
const verbMs = 3000;

export interface EtcdPlaneParts {
  readonly config: EtcdConfig;
  readonly store: Store;
  readonly node: string;
  readonly hostName: string;
  /** How long this host counts as there after it was last heard. */
  readonly leaseMs: () => number;
  readonly shares: number | undefined;
  /** Names of networks of which the others' part has changed. */
  readonly onChange: (networks: readonly string[]) => void;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

interface HostLease {
  readonly id: string;
}

export class EtcdPlane implements ControlPlane {
  readonly blocks: AddressBlocks;
  readonly #parts: EtcdPlaneParts;
  readonly #keys: Keys;
  readonly #syncs = new Map<string, NetworkSync>();
  readonly #networks = new Map<string, SharedNetwork>();
  readonly #leases: Table<HostLease>;
  readonly #keeper: SessionKeeper;
  /** The session that new networks are followed in. */
  #following: Session | undefined;
  /** That all records of this host are under. */
  #lease: bigint | undefined;

  constructor(parts: EtcdPlaneParts) {
    this.#parts = parts;
    const { config, store, node, hostName, shares, log } = parts;
    this.#keys = new Keys(config.prefix);
    this.#leases = store.table<HostLease>('overlay.host-lease', { version: 1 });
    const known = this.#leases.get('host');
    if (known) this.#lease = BigInt(known.id);
    this.blocks = new AddressBlocks({
      store,
      keys: this.#keys,
      node,
      hostName,
      reclaimMs: config.reclaimMs,
      shares,
      session: () => this.#keeper.wait(),
      log,
    });
    this.#keeper = new SessionKeeper({ config, log, begin: (session) => this.#begin(session) });
  }

  announce(network: SharedNetwork): void {
    this.#networks.set(network.name, network);
    let sync = this.#syncs.get(network.name);
    if (sync === undefined) {
      const { node, hostName, onChange, log } = this.#parts;
      const { name } = network;
      sync = new NetworkSync({ name, keys: this.#keys, node, hostName, log, onChange: () => onChange([name]) });
      this.#syncs.set(name, sync);
      sync.announce(network);
      const session = this.#following;
      if (session && !session.signal.aborted) session.run(this.#follow(session, sync));
    } else {
      sync.announce(network);
    }
  }

  change(networkName: string, change: NetworkChange): void {
    const [network, sync] = [this.#networks.get(networkName), this.#syncs.get(networkName)];
    if (network === undefined || sync === undefined) return;
    const next = applyChange(network, change);
    this.#networks.set(networkName, next);
    if (change.kind === 'put') sync.put(change.endpoint);
    else if (change.kind === 'remove') sync.remove(change.endpointId);
    else sync.describe(next);
  }

  withdraw(networkName: string): void {
    this.#networks.delete(networkName);
    const sync = this.#syncs.get(networkName);
    sync?.withdraw();
    // Without a session the next one removes what its lease still has.
    if (!this.#keeper.session) this.#syncs.delete(networkName);
  }

  remoteParts(networkName: string): RemotePart[] {
    return this.#syncs.get(networkName)?.view.parts() ?? [];
  }

  knowsAll(networkName: string): boolean {
    return this.#syncs.get(networkName)?.view.synced ?? false;
  }

  peers(): PeerStatus[] {
    const seen = new Map<string, PeerStatus>();
    for (const { view } of this.#syncs.values()) {
      for (const { hostName, network } of view.parts()) {
        const state = this.#keeper.session ? 'connected' : 'as last heard';
        seen.set(network.host, { peer: network.host, hostName, state, rttMs: undefined, heardMs: undefined });
      }
    }
    return [...seen.values()];
  }

  held(networkName: string, pool: string): readonly Cidr[] {
    return this.blocks.held(networkName, formatCidr(parseCidr(pool)));
  }

  async define(network: SharedNetwork): Promise<void> {
    await answered(this.#keeper.wait().then((session) => defineNetwork(session, this.#keys, network)));
  }

  async claim(networkName: string, pool: string, address?: string): Promise<void> {
    await answered(
      this.blocks.claim(networkName, formatCidr(parseCidr(pool)), address === undefined ? undefined : findIp(address)),
    );
  }

  status(): StoreStatus {
    const { session, state, counts } = this.#keeper;
    return {
      state: session ? 'connected' : state,
      endpoint: session?.connection.endpoint ?? '',
      version: session?.connection.version ?? '',
      rttMs: session?.connection.roundTripMs,
      revision: session ? Number(session.revision) : undefined,
      endpoints: this.#parts.config.endpoints,
      ...counts,
    };
  }

  async close(): Promise<void> {
    await this.#keeper.close();
  }

  async #begin(session: Session): Promise<void> {
    const { connection } = session;
    const { leaseMs } = this.#parts;
    if (this.#lease === undefined || (await connection.keepAlive(this.#lease)) === 0) {
      this.#lease = await connection.grant(Math.ceil(leaseMs() / 1000));
      this.#leases.put('host', { id: String(this.#lease) });
    }
    const lease = this.#lease;
    await this.#dropLeftovers(session, lease);
    // What the others wait for goes first; the blocks are for containers to come.
    this.#following = session;
    for (const sync of this.#syncs.values()) session.run(this.#follow(session, sync));
    session.run(this.#keep(session, lease));
    await this.blocks.begin(session);
  }

  async #follow(session: Session, sync: NetworkSync): Promise<void> {
    const network = sync.network;
    if (network && !sync.withdrawn) {
      // After the store lost it; at the creation of a network it was asked before.
      await defineNetwork(session, this.#keys, network).catch((error: unknown) => {
        if ((error as { code?: unknown }).code !== 'NET_OVERLAY_DIFFERS') throw error;
        this.#parts.log.warn({ err: error, network: network.name }, 'the store has another network by this name');
      });
    }
    // Again when it was announced anew while its end was written.
    do await sync.run(session, this.#lease ?? 0n);
    while (!sync.withdrawn && !session.signal.aborted);
    if (sync.withdrawn && network && this.#syncs.get(network.name) === sync) this.#syncs.delete(network.name);
  }

  async #keep(session: Session, lease: bigint): Promise<void> {
    while (!session.signal.aborted) {
      const everyMs = Math.min(longestRenewalMs, this.#parts.leaseMs() / 3);
      await new Promise((resolve) => setTimeout(resolve, everyMs).unref());
      if (session.signal.aborted) return;
      if ((await session.connection.keepAlive(lease)) === 0) throw new Error('the lease of this host ran out');
    }
  }

  /** Of networks that were deleted while the store, or this daemon, was away. */
  async #dropLeftovers(session: Session, lease: bigint): Promise<void> {
    const { connection } = session;
    const keys = await connection.leaseKeys(lease);
    const stray = keys.filter((key) => !this.#syncs.has(this.#keys.networkOf(key) ?? ''));
    for (const key of stray) await connection.transact({ success: [remove(key)] });
    for (const name of new Set(stray.map((key) => this.#keys.networkOf(key) ?? '')))
      await removeUnused(session, this.#keys, name);
  }
}

/** In time for the engine; what failed on the way is the store's failure, in words for users. */
async function answered<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(storeError('it did not answer in time')), verbMs);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    if (typeof (error as { code?: unknown }).code === 'string') throw error;
    throw storeError((error as Error).message, error);
  } finally {
    clearTimeout(timer);
  }
}
