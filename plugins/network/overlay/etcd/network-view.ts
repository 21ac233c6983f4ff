/**
 * What etcd has of one network, as this host knows it: a snapshot, then every change. Pure.
 *
 * What a new snapshot lacks stays for a moment before it is believed to be gone: after a loss of the store (a backup put back,
 * leases that ran out while it was away) the living hosts write their records again within that time, and the traffic to them
 * must not stop. What is deleted while we watch is gone at once.
 */
import type { RemotePart, SharedEndpoint, SharedNetwork } from '../control-plane.ts';
import { object, RecordError, readEndpoint, readNetwork, text } from '../shared-records.ts';
import type { Snapshot, WatchBatch } from './connection.ts';
import { type NetworkKey, readKey } from './keys.ts';
import type { KeyValue } from './rpc_pb.ts';

/** Longer than a host takes to come back to the store and write. */
const fadeMs = 1500;

type Value = NetworkKey &
  (
    | { readonly kind: 'host'; readonly hostName: string; readonly network: SharedNetwork }
    | { readonly kind: 'endpoint'; readonly endpoint: SharedEndpoint }
    | { readonly kind: 'block'; readonly owner: string }
  );

/** One of this host's own records, as etcd has it. */
export interface OwnRecord {
  readonly text: string;
  readonly lease: bigint;
}

interface Observed extends OwnRecord {
  readonly value: Value;
  readonly revision: bigint;
}

/** The records of one host, by the rest of their keys. */
interface NodeRecords {
  readonly endpoints: Map<string, SharedEndpoint>;
  readonly ranges: Map<string, string>;
  host: { readonly value: HostValue; readonly revision: bigint } | undefined;
  /** As it follows from these; made anew when one of them has changed. */
  part: RemotePart | undefined;
}

type HostValue = Extract<Value, { kind: 'host' }>;

export class NetworkView {
  readonly #prefix: string;
  readonly #node: string;
  readonly #now: () => number;
  readonly #records = new Map<string, Observed>();
  /** Those of them that this host wrote. */
  readonly #own = new Map<string, Observed>();
  /** Missing in the last snapshot → until when they are still held true. */
  readonly #fading = new Map<string, number>();
  /** What hosts have, by node. */
  readonly #nodes = new Map<string, NodeRecords>();
  #parts: RemotePart[] | undefined;
  #synced = false;
  #broken = 0;

  /** `now`: milliseconds that only go forward. */
  constructor(prefix: string, node: string, now: () => number = () => performance.now()) {
    this.#prefix = prefix;
    this.#node = node;
    this.#now = now;
  }

  /** Whether the store has been read since this daemon began. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Records that could not be understood, of the last snapshot and since. */
  get broken(): number {
    return this.#broken;
  }

  get fading(): boolean {
    return this.#fading.size > 0;
  }

  reset({ entries }: Snapshot): void {
    const before = new Set(this.#records.keys());
    this.#broken = 0;
    this.#fading.clear();
    for (const entry of entries) {
      const rest = this.#restOf(entry);
      before.delete(rest);
      this.#put(rest, entry);
    }
    for (const rest of before) {
      if (this.#isOwn(rest) || !this.#synced) this.#forget(rest);
      else this.#fading.set(rest, this.#now() + fadeMs);
    }
    this.#synced = true;
    this.#parts = undefined;
  }

  /** Whose records may be different now. */
  apply({ events }: WatchBatch): { readonly others: boolean; readonly own: boolean } {
    let [others, own] = [false, false];
    for (const { type, kv } of events) {
      if (kv === undefined) continue;
      const rest = this.#restOf(kv);
      const known = this.#records.get(rest);
      // Our own writes are noted when they are answered, which may be before the watch tells of older ones.
      if (known && known.revision >= kv.modRevision && !this.#fading.has(rest)) continue;
      this.#fading.delete(rest);
      if (type === 0) this.#put(rest, kv);
      else this.#forget(rest);
      if (this.#isOwn(rest)) own = true;
      else others = true;
    }
    if (others) this.#parts = undefined;
    return { others, own };
  }

  /** Forgets what nobody has written again; whether there was something. */
  fade(): boolean {
    const over = [...this.#fading].filter(([, until]) => until <= this.#now());
    for (const [rest] of over) {
      this.#fading.delete(rest);
      this.#forget(rest);
    }
    if (over.length > 0) this.#parts = undefined;
    return over.length > 0;
  }

  /** A write of ours that etcd has answered. */
  wrote(rest: string, record: OwnRecord | undefined, revision: bigint): void {
    if (record === undefined) this.#forget(rest);
    else this.#note(rest, record, revision);
  }

  /** This host's records, by the rest of their keys. */
  own(): ReadonlyMap<string, OwnRecord> {
    return this.#own;
  }

  /** A host of which nothing has changed has the same object as before. */
  parts(): RemotePart[] {
    this.#parts ??= this.#build();
    return this.#parts;
  }

  #build(): RemotePart[] {
    // An address on the underlay is one host's: of a host that was set up anew, the record of before says nothing any more.
    const newest = new Map<string, { readonly part: RemotePart; readonly revision: bigint }>();
    for (const [node, records] of this.#nodes) {
      const { host } = records;
      if (host === undefined || node === this.#node) continue;
      const known = newest.get(host.value.network.host);
      if (known && known.revision >= host.revision) continue;
      records.part ??= partOf(host.value, records);
      newest.set(host.value.network.host, { part: records.part, revision: host.revision });
    }
    return [...newest.values()].map(({ part }) => part);
  }

  #put(rest: string, { value, lease, modRevision }: KeyValue): void {
    this.#note(rest, { text: Buffer.from(value).toString(), lease }, modRevision);
  }

  #note(rest: string, record: OwnRecord, revision: bigint): void {
    const key = readKey(rest);
    if (key === undefined) return;
    try {
      const observed = { ...record, revision, value: readValue(key, record.text) };
      this.#forget(rest);
      this.#records.set(rest, observed);
      if (this.#isOwn(rest)) this.#own.set(rest, observed);
      this.#file(rest, observed);
    } catch (error) {
      if (!(error instanceof RecordError || error instanceof SyntaxError)) throw error;
      this.#broken++;
      this.#forget(rest);
    }
  }

  #forget(rest: string): void {
    const known = this.#records.get(rest);
    if (known === undefined) return;
    this.#records.delete(rest);
    this.#own.delete(rest);
    const node = nodeOf(known.value);
    const records = this.#nodes.get(node);
    if (!records) return;
    records.part = undefined;
    records.endpoints.delete(rest);
    records.ranges.delete(rest);
    if (known.value.kind === 'host') records.host = undefined;
    if (!records.host && records.endpoints.size + records.ranges.size === 0) this.#nodes.delete(node);
  }

  #file(rest: string, { value, revision }: Observed): void {
    const node = nodeOf(value);
    let records = this.#nodes.get(node);
    if (!records) {
      records = { endpoints: new Map(), ranges: new Map(), host: undefined, part: undefined };
      this.#nodes.set(node, records);
    }
    records.part = undefined;
    if (value.kind === 'endpoint') records.endpoints.set(rest, value.endpoint);
    else if (value.kind === 'block') records.ranges.set(rest, value.block);
    else records.host = { value, revision };
  }

  #isOwn(rest: string): boolean {
    const key = readKey(rest);
    return key !== undefined && key.kind !== 'block' && key.node === this.#node;
  }

  #restOf({ key }: KeyValue): string {
    return Buffer.from(key).toString().slice(this.#prefix.length);
  }
}

function readValue(key: NetworkKey, json: string): Value {
  const given = object(JSON.parse(json));
  if (key.kind === 'endpoint') return { ...key, endpoint: readEndpoint({ ...given, id: key.id }) };
  if (key.kind === 'block') return { ...key, owner: text(given, 'node', 64) };
  const network = readNetwork({ ...object(given['network']), endpoints: [] });
  return { ...key, hostName: text(given, 'hostName', 253), network };
}

/** Whose word a record is, or whose block. */
function nodeOf(value: Value): string {
  return value.kind === 'block' ? value.owner : value.node;
}

function partOf({ node, hostName, network }: HostValue, { endpoints, ranges }: NodeRecords): RemotePart {
  return {
    node,
    hostName,
    network: { ...network, endpoints: [...endpoints.values()] },
    ranges: [...ranges.values()],
  };
}
