/**
 * One pool in memory: which addresses are allocated, which are kept back after their release, and which comes next.
 *
 *     free ──request──► allocated ──release──► kept ──time──► free
 *                           ▲                    │
 *                           └── its owner, an explicit request, or nothing else left
 *
 * `choose` decides and changes nothing; the driver writes the record to disk and then calls `put`, so memory is never ahead
 * of the disk. Dynamic addresses go round (next fit) instead of starting at the lowest free one, and a released one is kept
 * back for a while: neighbours' ARP entries, conntrack flows and DNS caches still point at it.
 */
import { PluginError } from '../../sdk/errors.ts';
import { type Cidr, cidrHasIp, formatCidr } from '../address/cidr.ts';
import { formatIp } from '../address/ip.ts';
import { AddressSet } from './address-set.ts';
import { type AddressRange, dynamicRange, inRange, rangeSize, usableRange } from './usable-range.ts';

/** auxiliary: asked for by name before the network existed (`--aux-address`); lives as long as the pool, as gateways do. */
export type AddressKind = 'gateway' | 'auxiliary' | 'endpoint';

interface AddressCommon {
  /** Counts the pool's dynamic allocations; the highest one says where the next search starts. */
  readonly serial: number;
  /** The request named the address. */
  readonly explicit: boolean;
  /** Who gets it back after a release: `name:web` or `mac:02:…`; absent when the engine does not say. */
  readonly owner?: string;
}

export interface AllocatedAddress extends AddressCommon {
  readonly state: 'allocated';
  readonly kind: AddressKind;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface KeptAddress extends AddressCommon {
  readonly state: 'kept';
  readonly releasedAt: number;
}

/** What is on disk for an address; a free one has no record. */
export type AddressRecord = AllocatedAddress | KeptAddress;

export interface PoolSettings {
  /** How long a released address is given to nobody who does not name it. */
  readonly quarantineMs: number;
  /** How long a released address with an owner, or one that was asked for by name, is kept for its return. */
  readonly stickyMs: number;
  /** Share of the dynamic range in use from which on a warning is given. */
  readonly warnPercent: number;
}

export interface AddressWish {
  /** Number of the address; absent: any. */
  readonly address?: bigint;
  readonly kind: AddressKind;
  readonly owner?: string;
}

export interface ChosenAddress {
  readonly value: bigint;
  readonly record: AllocatedAddress;
}

/** Bounds the memory and disk that released addresses take, and the work of one request. */
const keptLimit = 4096;
const expiryBatch = 64;
/** An engine asks for everything again within seconds of its start. */
const replayMs = 60_000;

export class Pool {
  readonly cidr: Cidr;
  /** Changes with the configuration. */
  settings: PoolSettings;
  readonly usable: AddressRange;
  readonly dynamic: AddressRange;
  /** Of a subnet that hosts share: the blocks that are this host's at the moment. Dynamic addresses come from these only. */
  readonly #blocks: (() => readonly Cidr[]) | undefined;
  /** Allocations that no owner accounts for, with the time since when; reconcile.ts keeps it. */
  readonly missingSince = new Map<bigint, number>();
  readonly #records = new Map<bigint, AddressRecord>();
  /** Allocated and kept addresses of the dynamic range, as offsets from its first. */
  readonly #busy: AddressSet;
  /** Kept addresses, oldest release first: those without an owner, then those somebody may come back for. */
  readonly #quarantined = new Set<bigint>();
  readonly #remembered = new Set<bigint>();
  /** Allocations that an engine may ask for once more while it starts. */
  readonly #replayable = new Set<bigint>();
  #replayUntil = 0;
  readonly #addressOf = new Map<string, bigint>();
  #allocatedInRange = 0;
  #serial = 0;
  #cursor: bigint;

  constructor(cidr: Cidr, subPool: Cidr | undefined, settings: PoolSettings, blocks?: () => readonly Cidr[]) {
    this.cidr = cidr;
    this.#blocks = blocks;
    this.settings = settings;
    this.usable = usableRange(cidr);
    this.dynamic = dynamicRange(cidr, subPool);
    this.#busy = new AddressSet((rangeSize(this.dynamic) || 1n).toString(2).length);
    this.#cursor = this.#start();
  }

  get(value: bigint): AddressRecord | undefined {
    return this.#records.get(value);
  }

  /** Of the dynamic range. */
  get used(): number {
    return this.#allocatedInRange;
  }

  get size(): bigint {
    return this.#ranges().reduce((sum, range) => sum + rangeSize(range), 0n);
  }

  /** Whether a dynamic address can be had, were it one that is kept back. */
  hasFree(): boolean {
    return this.#firstFree(this.#cursor) !== undefined;
  }

  get keptCount(): number {
    return this.#quarantined.size + this.#remembered.size;
  }

  *entries(): IterableIterator<[bigint, AddressRecord]> {
    yield* this.#records;
  }

  /** Throws IPAM_ADDRESS_OUTSIDE, IPAM_ADDRESS_RESERVED, IPAM_ADDRESS_IN_USE or IPAM_POOL_FULL. */
  choose(wish: AddressWish, now: number): ChosenAddress {
    if (wish.address !== undefined) return this.#chooseNamed(wish.address, wish, now);
    const own = this.#ownAddress(wish.owner);
    const value =
      own ??
      // Of a shared subnet every host chooses the same.
      (wish.kind === 'gateway' ? this.#firstFree(this.#start(), [this.dynamic]) : this.#firstFree(this.#cursor));
    if (value === undefined) throw this.#full();
    // A returning owner does not move the search on: the serial stays.
    const serial = own === undefined ? this.#serial + 1 : this.#records.get(own)!.serial;
    return { value, record: this.#allocation(wish, serial, false, now) };
  }

  /** What becomes of an address on its release: kept for its owner or in quarantine, or (undefined) free at once. */
  chooseRelease(value: bigint, now: number): KeptAddress | undefined {
    const record = this.#records.get(value);
    if (record?.state !== 'allocated' || record.kind === 'gateway') return undefined;
    const { serial, explicit, owner } = record;
    const keep = owner !== undefined || explicit ? this.settings.stickyMs : this.settings.quarantineMs;
    if (keep === 0) return undefined;
    return { state: 'kept', serial, explicit, releasedAt: now, ...(owner === undefined ? {} : { owner }) };
  }

  /** From now on, and for a minute, each allocated address may be asked for by name once more. */
  expectReplay(now: number): void {
    this.#replayUntil = now + replayMs;
    for (const [value, record] of this.#records) if (record.state === 'allocated') this.#replayable.add(value);
  }

  /** Kept addresses whose time is over, or that are too many; a few at a time, so that no request pays for all. */
  expired(now: number): bigint[] {
    const over: bigint[] = [];
    for (const [queue, keepMs] of [
      [this.#quarantined, this.settings.quarantineMs],
      [this.#remembered, this.settings.stickyMs],
    ] as const) {
      let surplus = queue.size - keptLimit;
      for (const value of queue) {
        const record = this.#records.get(value) as KeptAddress;
        if ((record.releasedAt + keepMs > now && surplus <= 0) || over.length >= expiryBatch) break;
        over.push(value);
        surplus--;
      }
    }
    return over;
  }

  /** Follows the disk. At a restore the kept addresses come in the order of their release. */
  put(value: bigint, record: AddressRecord): void {
    this.remove(value);
    this.#records.set(value, record);
    if (record.owner !== undefined) this.#addressOf.set(record.owner, value);
    if (record.state === 'kept') (isRemembered(record) ? this.#remembered : this.#quarantined).add(value);
    if (inRange(this.dynamic, value)) {
      this.#busy.add(value - this.dynamic.first);
      if (record.state === 'allocated') this.#allocatedInRange++;
      if (!record.explicit && record.serial > this.#serial) this.#cursor = value + 1n;
    }
    this.#serial = Math.max(this.#serial, record.serial);
  }

  remove(value: bigint): void {
    const record = this.#records.get(value);
    if (record === undefined) return;
    this.#records.delete(value);
    this.missingSince.delete(value);
    this.#replayable.delete(value);
    this.#quarantined.delete(value);
    this.#remembered.delete(value);
    if (record.owner !== undefined && this.#addressOf.get(record.owner) === value) this.#addressOf.delete(record.owner);
    if (!inRange(this.dynamic, value)) return;
    this.#busy.delete(value - this.dynamic.first);
    if (record.state === 'allocated') this.#allocatedInRange--;
  }

  #chooseNamed(value: bigint, wish: AddressWish, now: number): ChosenAddress {
    const name = formatIp({ family: this.cidr.family, value });
    const pool = formatCidr(this.cidr);
    if (!cidrHasIp(this.cidr, { family: this.cidr.family, value })) {
      throw new PluginError('IPAM_ADDRESS_OUTSIDE', `address ${name} is not in the pool ${pool}`, {
        hint: `choose one of ${this.#rangeText(this.usable)}`,
      });
    }
    if (!inRange(this.usable, value)) {
      const what =
        this.cidr.family === 6 ? 'subnet-router anycast' : value === this.cidr.network ? 'network' : 'broadcast';
      throw new PluginError('IPAM_ADDRESS_RESERVED', `address ${name} is the ${what} address of the pool ${pool}`, {
        hint: `choose one of ${this.#rangeText(this.usable)}`,
      });
    }
    const record = this.#records.get(value);
    if (record?.state !== 'allocated') return { value, record: this.#allocation(wish, 0, true, now) };
    if (!this.#mayHaveAgain(value, record, wish, now)) {
      const holder = record.owner === undefined ? `as ${record.kind} address` : `by ${describeOwner(record.owner)}`;
      throw new PluginError(
        'IPAM_ADDRESS_IN_USE',
        `address ${name} of the pool ${pool} is in use ${holder} since ${new Date(record.at).toISOString()}`,
        {
          hint: 'choose another address, or none to get a free one',
        },
      );
    }
    if (record.kind === 'gateway' || !this.missingSince.has(value)) return { value, record: { ...record, at: now } };
    return { value, record: this.#allocation(wish, 0, true, now) };
  }

  /** Engines repeat: the gateway, and all of it after a replayed pool. An address that nobody has any more is free to take. */
  #mayHaveAgain(value: bigint, record: AllocatedAddress, wish: AddressWish, now: number): boolean {
    if (record.kind === 'gateway' && wish.kind === 'gateway') return true;
    return (this.#replayable.has(value) && now < this.#replayUntil) || this.missingSince.has(value);
  }

  /**
   * The address that the owner had. One that is still allocated only when nobody accounts for it any more: a container can be
   * renamed, so the same name alone does not prove that the first holder is gone.
   */
  #ownAddress(owner: string | undefined): bigint | undefined {
    const value = owner === undefined ? undefined : this.#addressOf.get(owner);
    if (value === undefined) return undefined;
    return this.#records.get(value)?.state === 'kept' || this.missingSince.has(value) ? value : undefined;
  }

  /** Round from `start`; when all is taken, the kept address that was released first, those without an owner before. */
  #firstFree(start: bigint, ranges = this.#ranges()): bigint | undefined {
    const after = ranges.map(({ first, last }) => ({ first: first < start ? start : first, last }));
    const before = ranges.map(({ first, last }) => ({ first, last: last < start ? last : start - 1n }));
    for (const { first, last } of [...after, ...before]) {
      if (first > last) continue;
      const found = this.#busy.firstFree(first - this.dynamic.first, last - this.dynamic.first);
      if (found !== undefined) return this.dynamic.first + found;
    }
    for (const queue of [this.#quarantined, this.#remembered]) {
      for (const value of queue) if (ranges.some((range) => inRange(range, value))) return value;
    }
    return undefined;
  }

  #ranges(): readonly AddressRange[] {
    if (this.#blocks === undefined) return [this.dynamic];
    return this.#blocks()
      .map((block) => dynamicRange(this.cidr, block))
      .sort((one, other) => (one.first < other.first ? -1 : 1));
  }

  /** The first address; of a sub-pool the one after it, because it looks like a network's: it comes last. */
  #start(): bigint {
    const { first, last } = this.dynamic;
    const looksLikeNetwork = first !== this.usable.first && last - first > 1n;
    return looksLikeNetwork ? first + 1n : first;
  }

  #allocation(wish: AddressWish, serial: number, explicit: boolean, now: number): AllocatedAddress {
    const owner = wish.owner === undefined ? {} : { owner: wish.owner };
    // Gateways and named addresses do not move the search on.
    return {
      state: 'allocated',
      kind: wish.kind,
      serial: wish.kind === 'endpoint' ? serial : 0,
      explicit,
      at: now,
      ...owner,
    };
  }

  #full(): PluginError {
    return new PluginError(
      'IPAM_POOL_FULL',
      `pool ${formatCidr(this.cidr)} has no free address: all ${this.size} of ${this.#ranges()
        .map((range) => this.#rangeText(range))
        .join(', ')} are in use`,
      { hint: 'remove containers, or create the network with a larger --subnet or --ip-range' },
    );
  }

  #rangeText({ first, last }: AddressRange): string {
    const { family } = this.cidr;
    return last < first
      ? 'no addresses'
      : `${formatIp({ family, value: first })} to ${formatIp({ family, value: last })}`;
  }
}

/** `name:web` → `container "web"`. */
export function describeOwner(owner: string): string {
  const value = owner.slice(owner.indexOf(':') + 1);
  return owner.startsWith('name:') ? `container "${value}"` : `the container with MAC ${value}`;
}

function isRemembered(record: KeptAddress): boolean {
  return record.explicit || record.owner !== undefined;
}
