/**
 * This host's blocks of addresses. A block belongs to the host that wrote its key first, for as long as the host renews the
 * lease of its blocks: a day, where nothing else is configured. So no address is given twice, whoever can reach whom, and the
 * addresses of a host that is gone for good come back by themselves.
 *
 *     record here ──► key in etcd ──► answer          claimed
 *     record away ──► key in etcd away                given back, at once or when the store is reached again
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { PluginError } from '../../../sdk/errors.ts';
import type { Store, Table } from '../../../store/store.ts';
import { type Cidr, cidrHasIp, countSubnets, formatCidr, parseCidr, subnetAt } from '../../address/cidr.ts';
import { addressBits, findIp, formatIp, type Ip } from '../../address/ip.ts';
import { count, object, readEndpoint } from '../shared-records.ts';
import { found, get, isAbsent, isAt, put, remove } from './connection.ts';
import { removeUnused } from './definition.ts';
import { type Keys, readKey } from './keys.ts';
import type { Session } from './session.ts';
import { storeError } from './session.ts';

interface BlockRecord {
  readonly network: string;
  readonly pool: string;
  readonly block: string;
}

interface LeaseRecord {
  readonly id: string;
  /** Until when the claims are ours whatever happens: seconds of this boot's clock. */
  readonly bootId: string;
  readonly until: number;
}

/** How long before its end a lease is no longer relied on. */
const marginSeconds = 2;
const attempts = 16;
/** Blocks of a subnet where nothing else is configured: 256, but none smaller than 16 addresses. */
const [automaticBits, smallestBlockBits] = [8, 4];

export interface AddressBlocksParts {
  readonly store: Store;
  readonly keys: Keys;
  readonly node: string;
  readonly hostName: string;
  readonly reclaimMs: number;
  /** Into how many blocks subnets are cut; undefined: by their size. */
  readonly shares: number | undefined;
  /** The way to the store, when there is none at once. Throws NET_OVERLAY_STORE. */
  readonly session: () => Promise<Session>;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

export class AddressBlocks {
  readonly #parts: AddressBlocksParts;
  readonly #records: Table<BlockRecord>;
  readonly #leases: Table<LeaseRecord>;
  readonly #bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  /** The lease that the running session renews. */
  #lease: bigint | undefined;
  #until = 0;
  #claiming: Promise<unknown> = Promise.resolve();

  constructor(parts: AddressBlocksParts) {
    this.#parts = parts;
    this.#records = parts.store.table<BlockRecord>('overlay.block', { version: 1 });
    this.#leases = parts.store.table<LeaseRecord>('overlay.lease', { version: 1 });
    const lease = this.#leases.get('blocks');
    if (lease?.bootId === this.#bootId) this.#until = lease.until;
  }

  /** Of one subnet, or of all subnets of the network. */
  held(network: string, pool?: string): Cidr[] {
    return this.#of(network)
      .filter((record) => pool === undefined || record.pool === pool)
      .map(({ block }) => parseCidr(block));
  }

  /** Throws NET_OVERLAY_STORE when the host was away so long that its addresses may be another's by now. */
  check(): void {
    if (uptime() < this.#until - marginSeconds) return;
    throw storeError('this host could not renew the claim of its addresses, so others may have them');
  }

  /** One block more of the subnet: that with the address, or a free one. Throws NET_OVERLAY_SHARE and NET_OVERLAY_STORE. */
  async claim(network: string, pool: string, address?: Ip): Promise<void> {
    const turn = this.#claiming.then(() => this.#claim(network, pool, address));
    this.#claiming = turn.catch(() => {});
    await turn;
  }

  /** All of one subnet go back. */
  release(network: string, pool: string): void {
    const given = this.#of(network).filter((record) => record.pool === pool);
    for (const { block } of given) this.#records.delete(keyOf(network, block));
    if (given.length === 0) return;
    this.#parts
      .session()
      .then((session) => this.#removeReleased(session))
      // The next session does it.
      .catch(() => {});
  }

  /** At the start of each session: what is in the store is brought to what this host has. Throws ConnectError. */
  async begin(session: Session): Promise<void> {
    const { connection } = session;
    const known = this.#leases.get('blocks');
    if (known !== undefined && this.#lease === undefined) this.#lease = BigInt(known.id);
    if (this.#lease === undefined || !(await this.#renew(session)))
      this.#note(await connection.grant(Math.ceil(this.#parts.reclaimMs / 1000)));
    const written = await this.#removeReleased(session);
    for (const [, record] of this.#records.entries()) {
      if (written.has(this.#parts.keys.block(record.network, record.block))) continue;
      if (await this.#write(session, record)) continue;
      this.#records.delete(keyOf(record.network, record.block));
      this.#parts.log.warn(
        { network: record.network, block: record.block },
        'addresses of this host were given to another while it was away: containers with them must be started again',
      );
    }
    session.run(this.#keep(session));
  }

  async #claim(network: string, pool: string, address: Ip | undefined): Promise<void> {
    const { keys, log } = this.#parts;
    const session = await this.#parts.session();
    const cidr = parseCidr(pool);
    const prefix = blockPrefix(cidr, await this.#divide(session, network, cidr));
    const { entries } = await session.connection.read(keys.network(network));
    const taken = new Set<string>();
    for (const entry of entries) {
      const key = readKey(Buffer.from(entry.key).toString().slice(keys.network(network).length));
      if (key?.kind === 'block') taken.add(key.block);
      // A host may have lost its claim and still have containers.
      if (key?.kind === 'endpoint') for (const one of blocksOf(entry.value, cidr, prefix)) taken.add(one);
    }
    for (const { block } of this.#of(network)) taken.add(block);
    const candidates = address ? [blockOf(cidr, prefix, address)] : this.#candidates(cidr, prefix);
    let tried = 0;
    for (const block of candidates) {
      if (taken.has(block)) continue;
      const record = { network, pool, block };
      this.#records.put(keyOf(network, block), record);
      const done = await this.#write(session, record).catch((error: unknown) => {
        this.#records.delete(keyOf(network, block));
        throw storeError('it did not answer in time', error);
      });
      if (done) {
        log.info({ network, block }, 'a block of addresses belongs to this host now');
        return;
      }
      this.#records.delete(keyOf(network, block));
      if (++tried >= attempts) break;
    }
    if (address) throw foreign(formatIp(address), this.held(network, pool));
    throw new PluginError('NET_OVERLAY_SHARE', `all blocks of ${pool} of the network ${network} belong to hosts`, {
      hint: 'choose a larger --subnet; blocks of hosts that are gone come back after "overlay.etcd.reclaim"',
    });
  }

  /** Into how many blocks: what the first host wrote. */
  async #divide({ connection }: Session, network: string, pool: Cidr): Promise<number> {
    const { keys, shares } = this.#parts;
    const key = keys.pool(network, formatCidr(pool));
    const wanted = { shares: shares ?? automaticShares(pool) };
    const answer = await connection.transact({
      compare: [isAbsent(key)],
      success: [put(key, JSON.stringify(wanted))],
      failure: [get(key)],
    });
    if (answer.succeeded) return wanted.shares;
    return Math.max(1, count(object(JSON.parse(found(answer, 0)?.text ?? '{"shares":1}')), 'shares'));
  }

  /** From a place that follows from the host, so that hosts seldom want the same block. */
  *#candidates(pool: Cidr, prefix: number): IterableIterator<string> {
    const total = countSubnets(pool, prefix);
    const start = createHash('sha256').update(this.#parts.node).digest().readBigUInt64BE() % total;
    for (let step = 0n; step < total; step++) yield formatCidr(subnetAt(pool, prefix, (start + step) % total));
  }

  /** false: another host has it. */
  async #write({ connection }: Session, { network, block }: BlockRecord): Promise<boolean> {
    const { keys, node, hostName } = this.#parts;
    const key = keys.block(network, block);
    const text = JSON.stringify({ node, hostName });
    const lease = this.#lease ?? 0n;
    const first = await connection.transact({
      compare: [isAbsent(key)],
      success: [put(key, text, lease)],
      failure: [get(key)],
    });
    if (first.succeeded) return true;
    const there = found(first, 0);
    // Ours by an older lease.
    if (there === undefined || ownerOf(there.text) !== node) return false;
    const again = await connection.transact({ compare: [isAt(key, there.revision)], success: [put(key, text, lease)] });
    return again.succeeded;
  }

  /** Returns the keys that stay. */
  async #removeReleased(session: Session): Promise<ReadonlySet<string>> {
    const { keys } = this.#parts;
    const wanted = new Set(this.#records.entries().map(([, { network, block }]) => keys.block(network, block)));
    const written = await session.connection.leaseKeys(this.#lease ?? 0n);
    const surplus = written.filter((key) => !wanted.has(key));
    for (const key of surplus) await session.connection.transact({ success: [remove(key)] });
    const networks = new Set(surplus.map((key) => keys.networkOf(key)).filter((name) => name !== undefined));
    for (const name of networks) await removeUnused(session, keys, name);
    return new Set(written.filter((key) => wanted.has(key)));
  }

  async #keep(session: Session): Promise<void> {
    const everyMs = Math.min(this.#parts.reclaimMs / 3, 3_600_000);
    while (!session.signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, everyMs).unref());
      if (session.signal.aborted) return;
      if (!(await this.#renew(session))) throw new Error('the lease of the addresses is gone');
    }
  }

  async #renew({ connection }: Session): Promise<boolean> {
    if ((await connection.keepAlive(this.#lease ?? 0n)) === 0) return false;
    this.#note(this.#lease ?? 0n);
    return true;
  }

  #note(lease: bigint): void {
    this.#lease = lease;
    this.#until = uptime() + this.#parts.reclaimMs / 1000;
    this.#leases.put('blocks', { id: String(lease), bootId: this.#bootId, until: this.#until });
  }

  #of(network: string): BlockRecord[] {
    return this.#records.entries(`${network} `).map(([, record]) => record);
  }
}

export function automaticShares(pool: Cidr): number {
  const bits = addressBits[pool.family] - pool.prefix;
  return 2 ** Math.max(0, Math.min(automaticBits, bits - smallestBlockBits));
}

function blockPrefix(pool: Cidr, shares: number): number {
  return Math.min(addressBits[pool.family], pool.prefix + Math.ceil(Math.log2(shares)));
}

function blockOf(pool: Cidr, prefix: number, { value }: Ip): string {
  const size = BigInt(addressBits[pool.family] - prefix);
  return formatCidr(subnetAt(pool, prefix, (value - pool.network) >> size));
}

function blocksOf(value: Uint8Array, pool: Cidr, prefix: number): string[] {
  try {
    const { addresses } = readEndpoint({ ...object(JSON.parse(Buffer.from(value).toString())) });
    const ips = addresses.map(findIp).filter((ip): ip is Ip => ip !== undefined && ip.family === pool.family);
    return ips.filter((ip) => cidrHasIp(pool, ip)).map((ip) => blockOf(pool, prefix, ip));
  } catch {
    return [];
  }
}

/** undefined: nobody that can be known, who keeps it all the same. */
function ownerOf(json: string): unknown {
  try {
    return object(JSON.parse(json))['node'];
  } catch {
    return undefined;
  }
}

function foreign(address: string, held: readonly Cidr[]): PluginError {
  const ranges = held.map(formatCidr).join(', ') || 'none yet';
  return new PluginError('NET_OVERLAY_SHARE', `${address} is another host's to give; this host's are ${ranges}`, {
    hint: 'use --ipam-driver cleat-ipam --ipam-opt cleat.network=NAME, or choose an --ip of these',
  });
}

function keyOf(network: string, block: string): string {
  return `${network} ${block}`;
}
