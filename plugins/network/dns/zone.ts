/**
 * The records of one network: owner name → records, each with where it came from and whose container it is. A zone is written
 * by the directory (directory.ts) and read by the resolver; it knows nothing of sockets or engines.
 *
 * Owner names are kept without the network's suffixes: `web`, `*.app`, `_http._tcp.web`; reverse names are kept whole.
 * Invariant: `#below` counts, for each name, the owners underneath it, so that an empty non-terminal is told from a name that does not
 * exist (RFC 8020: NXDOMAIN means that nothing is underneath either).
 */
import type { Cidr } from '../address/cidr.ts';
import type { Rotation } from './answer.ts';
import { parentName } from './name.ts';
import type { RecordData } from './rdata.ts';

/** What a record is there for: shown by `cleat dns query` and used to tell containers apart. */
export interface RecordSource {
  /** `container name`, `alias`, `static record` … */
  readonly reason: string;
  /** The endpoint that the record stands for; absent for static ones. */
  readonly endpointId?: string;
  /** What tells containers apart over networks: the sandbox's path. */
  readonly sandboxKey?: string;
  /** The container's name, where it is known. */
  readonly container?: string;
  /** The container runs on another host. */
  readonly elsewhere?: boolean;
}

export interface ZoneRecord extends RecordData {
  readonly source: RecordSource;
}

export interface RRset {
  readonly type: number;
  readonly records: readonly ZoneRecord[];
  /** Belongs to the name and type: a change of the members does not begin the rotation again. */
  readonly rotation: Rotation;
  /** Only so many of the first ones take turns, those of this host; the others follow them. Undefined: all take turns. */
  readonly turns?: number;
}

/** Who brings a name into the zone: an endpoint, or `static`. A name may come with no records: known, but out of service. */
export type Contribution = ReadonlyMap<string, readonly ZoneRecord[]>;

export interface ZoneSettings {
  /** Seconds. */
  readonly ttl: number;
  /** How long a "no" may be remembered; seconds. */
  readonly negativeTtl: number;
  /** Whether a name without dots that nobody here knows is asked of the upstreams. */
  readonly forwardSingleLabels: boolean;
  /** Whether anything is asked of the upstreams (not on internal networks). */
  readonly forward: boolean;
  /** Whether containers of this host come before those of others. */
  readonly localFirst: boolean;
}

export const defaultSettings: ZoneSettings = {
  ttl: 5,
  negativeTtl: 2,
  forwardSingleLabels: false,
  forward: true,
  localFirst: false,
};

/** Records of this host in front, where there are both; `turns` tells how many. Pure. */
export function putLocalFirst(records: readonly ZoneRecord[]): Pick<RRset, 'records' | 'turns'> {
  const here = records.filter(({ source }) => !source.elsewhere);
  if (here.length === 0 || here.length === records.length) return { records };
  return { records: [...here, ...records.filter(({ source }) => source.elsewhere)], turns: here.length };
}

/** Lists and not maps inside: a host has many names, nearly all of them with one contributor. */
interface Node {
  readonly from: { readonly contributor: string; records: readonly ZoneRecord[] }[];
  sets: ReadonlyMap<number, RRset>;
}

const noSets: ReadonlyMap<number, RRset> = new Map();

export class Zone {
  readonly networkId: string;
  /** Suffixes under which the names are known too: lower case, without dots at the ends. */
  suffixes: readonly string[] = [];
  /** A suffix that is ours alone: what is not found below it does not exist. */
  domain: string | undefined;
  /** Reverse names inside these are answered here and never sent on. */
  pools: readonly Cidr[] = [];
  settings: ZoneSettings = defaultSettings;
  readonly #nodes = new Map<string, Node>();
  readonly #contributions = new Map<string, Contribution>();
  readonly #below = new Map<string, number>();
  #wildcards = 0;

  constructor(networkId: string) {
    this.networkId = networkId;
  }

  /** Replaces everything that one contributor brought. */
  put(contributor: string, contribution: Contribution): void {
    const before = this.#contributions.get(contributor);
    if (contribution.size === 0) this.#contributions.delete(contributor);
    else this.#contributions.set(contributor, contribution);
    for (const [owner, records] of contribution) {
      const { from } = this.#nodeFor(owner);
      const known = from.find((one) => one.contributor === contributor);
      if (known === undefined) from.push({ contributor, records });
      else known.records = records;
    }
    for (const owner of before?.keys() ?? []) {
      if (contribution.has(owner)) continue;
      const from = this.#nodes.get(owner)?.from ?? [];
      const at = from.findIndex((one) => one.contributor === contributor);
      if (at >= 0) from.splice(at, 1);
    }
    for (const owner of new Set([...(before?.keys() ?? []), ...contribution.keys()])) this.#settle(owner);
  }

  remove(contributor: string): void {
    this.put(contributor, new Map());
  }

  /** The records of a name by type; undefined when nobody brought the name. */
  node(owner: string): ReadonlyMap<number, RRset> | undefined {
    return this.#nodes.get(owner)?.sets;
  }

  /** Whether the name or anything underneath it is there. */
  exists(owner: string): boolean {
    return this.#nodes.has(owner) || this.#below.has(owner);
  }

  /** The wildcard that speaks for a name that does not exist (RFC 4592 §3.3.1: the closest encloser decides). */
  wildcard(owner: string): ReadonlyMap<number, RRset> | undefined {
    if (this.#wildcards === 0) return undefined;
    for (let parent = parentName(owner); parent !== undefined && parent !== ''; parent = parentName(parent)) {
      const found = this.#nodes.get(`*.${parent}`);
      if (found !== undefined) return found.sets;
      if (this.exists(parent)) return undefined;
    }
    return undefined;
  }

  *owners(): IterableIterator<[string, ReadonlyMap<number, RRset>]> {
    for (const [owner, node] of this.#nodes) yield [owner, node.sets];
  }

  get size(): number {
    return this.#nodes.size;
  }

  #nodeFor(owner: string): Node {
    let node = this.#nodes.get(owner);
    if (node === undefined) {
      node = { from: [], sets: noSets };
      this.#nodes.set(owner, node);
      this.#countBelow(owner, 1);
      if (owner.startsWith('*.')) this.#wildcards++;
    }
    return node;
  }

  /** Works out the RRsets of a name from its contributors, or forgets the name when none is left. */
  #settle(owner: string): void {
    const node = this.#nodes.get(owner);
    if (node === undefined) return;
    if (node.from.length === 0) {
      this.#nodes.delete(owner);
      this.#countBelow(owner, -1);
      if (owner.startsWith('*.')) this.#wildcards--;
      return;
    }
    const byType = new Map<number, ZoneRecord[]>();
    for (const { records } of node.from) {
      for (const record of records) {
        const same = byType.get(record.type);
        if (same === undefined) byType.set(record.type, [record]);
        else if (!same.some((one) => one.rdata.equals(record.rdata))) same.push(record);
      }
    }
    const before = node.sets;
    const sets = new Map<number, RRset>();
    for (const [type, records] of byType) {
      const ordered = this.settings.localFirst ? putLocalFirst(records) : { records };
      sets.set(type, { type, ...ordered, rotation: before.get(type)?.rotation ?? { next: 0 } });
    }
    node.sets = sets.size === 0 ? noSets : sets;
  }

  #countBelow(owner: string, step: 1 | -1): void {
    for (let parent = parentName(owner); parent !== undefined && parent !== ''; parent = parentName(parent)) {
      const count = (this.#below.get(parent) ?? 0) + step;
      if (count === 0) this.#below.delete(parent);
      else this.#below.set(parent, count);
    }
  }
}
