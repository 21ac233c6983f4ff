/**
 * Decides what a question's answer is, from the zones that the asker may see: records, "no", an error, or "ask upstream".
 * Pure: no socket, no clock, no cache. Zones come in order of the asker's networks, the one that was asked first.
 */
import { cidrHasIp } from '../address/cidr.ts';
import { parseIp } from '../address/ip.ts';
import type { Rotation } from './answer.ts';
import { findReversedIp, readName, reverseName, splitLabels, stripSuffix } from './name.ts';
import { addressData, anyData, nameData, type RecordData } from './rdata.ts';
import { classes, rcodes, types } from './wire.ts';
import { putLocalFirst, type RRset, type Zone, type ZoneRecord } from './zone.ts';

export interface Question {
  /** Lower-case text. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

/** One step of a chain: the records of one owner name. */
export interface AnswerSet {
  readonly owner: string;
  readonly records: readonly (ZoneRecord | RecordData)[];
  readonly rotation?: Rotation;
  /** As in RRset. */
  readonly turns?: number;
}

export type Resolution =
  | {
      readonly kind: 'answer';
      readonly rcode: number;
      /** CNAMEs first, then what they lead to; empty for NODATA and NXDOMAIN. */
      readonly sets: readonly AnswerSet[];
      /** Owner of the SOA of a negative answer. */
      readonly soaOwner?: string;
      readonly ttl: number;
      readonly negativeTtl: number;
      /** Addresses of the targets of SRV records. */
      readonly additional: readonly { readonly target: string; readonly records: readonly RecordData[] }[];
      readonly why: string;
    }
  | {
      readonly kind: 'forward';
      /** The name to ask for: the question's own, or where local CNAMEs lead. */
      readonly name: string;
      readonly via: readonly AnswerSet[];
      /** No dots: of interest to the engine's own resolver alone. */
      readonly singleLabel: boolean;
      readonly why: string;
    }
  | { readonly kind: 'error'; readonly rcode: number; readonly why: string };

const maxCnames = 8;
/** Types that stand for operations, not for data (RFC 6895 §3.1). */
const metaTypes: ReadonlySet<number> = new Set([types.OPT, types.TKEY, types.TSIG, types.MAILB, types.MAILA]);
/** Asked about top-level domains by validating resolvers: DS, DNSKEY, NS, SOA. */
const delegationTypes: ReadonlySet<number> = new Set([43, 48, types.NS, types.SOA]);

export function resolve(zones: readonly Zone[], question: Question): Resolution {
  const settings = zones[0]?.settings;
  if (settings === undefined)
    return { kind: 'error', rcode: rcodes.REFUSED, why: 'the asker is on none of our networks' };
  const base = { kind: 'answer', ttl: settings.ttl, negativeTtl: settings.negativeTtl, additional: [] } as const;
  const { name, type } = question;
  if (question.class !== classes.IN && question.class !== classes.ANY) {
    return { kind: 'error', rcode: rcodes.REFUSED, why: 'a class other than IN' };
  }
  if (type === types.AXFR || type === types.IXFR) return { kind: 'error', rcode: rcodes.REFUSED, why: 'zone transfer' };
  if (metaTypes.has(type)) return { kind: 'error', rcode: rcodes.NOTIMP, why: 'a type that stands for an operation' };

  const special = findSpecial(name, type);
  if (special !== undefined) return { ...base, ...special };

  const sets: AnswerSet[] = [];
  let asked = name;
  for (let step = 0; step <= maxCnames; step++) {
    const found = findLocal(zones, asked);
    if (found === undefined) break;
    if (type === types.ANY)
      return { ...base, rcode: rcodes.NOERROR, sets: [{ owner: asked, records: [anyData] }], why: 'ANY (RFC 8482)' };
    const set = mergeSets(found, type);
    if (set !== undefined) {
      sets.push({ owner: asked, ...set });
      const additional = type === types.SRV ? srvTargets(zones, set.records) : [];
      return { ...base, rcode: rcodes.NOERROR, sets, additional, why: sourceOf(set.records) };
    }
    const alias = mergeSets(found, types.CNAME);
    const target = alias?.records[0];
    if (alias === undefined || target === undefined) {
      return {
        ...base,
        rcode: rcodes.NOERROR,
        sets,
        soaOwner: zoneOf(zones, asked),
        why: 'the name exists, but not with this type',
      };
    }
    sets.push({ owner: asked, records: [target] });
    asked = readName(target.rdata, 0)?.name ?? '';
    if (step === maxCnames) return { kind: 'error', rcode: rcodes.SERVFAIL, why: 'CNAMEs lead in a circle' };
  }

  const negative = (why: string): Resolution => ({
    ...base,
    rcode: rcodes.NXDOMAIN,
    sets,
    soaOwner: zoneOf(zones, asked),
    why,
  });
  if (zones.some((zone) => exists(zone, asked))) {
    return { ...base, rcode: rcodes.NOERROR, sets, soaOwner: zoneOf(zones, asked), why: 'only names below it exist' };
  }
  if (
    zones.some(
      (zone) => zone.domain !== undefined && (asked === zone.domain || stripSuffix(asked, zone.domain) !== undefined),
    )
  ) {
    return asked === zones.find((zone) => zone.domain === asked)?.domain
      ? { ...base, rcode: rcodes.NOERROR, sets, soaOwner: asked, why: "the network's domain itself" }
      : negative("no such name in the network's domain");
  }
  const reversed = findReversedIp(asked);
  if (reversed !== undefined && zones.some((zone) => zone.pools.some((pool) => cidrHasIp(pool, reversed)))) {
    return negative('no container has this address');
  }
  if (type === types.ANY)
    return { ...base, rcode: rcodes.NOERROR, sets: [{ owner: asked, records: [anyData] }], why: 'ANY (RFC 8482)' };
  const singleLabel = asked !== '' && !delegationTypes.has(type) && splitLabels(asked).length === 1;
  if (!zones.some((zone) => zone.settings.forward)) {
    if (singleLabel) return negative('no such container');
    return { kind: 'error', rcode: rcodes.REFUSED, why: 'an internal network asks nobody outside' };
  }
  return { kind: 'forward', name: asked, via: sets, singleLabel, why: 'not a name of ours' };
}

/** What a name without dots is that not even the engine knows. */
export function unknownSingleLabel(
  zones: readonly Zone[],
  via: readonly AnswerSet[],
): Extract<Resolution, { kind: 'answer' }> {
  const settings = zones[0]!.settings;
  return {
    kind: 'answer',
    rcode: rcodes.NXDOMAIN,
    sets: via,
    soaOwner: '',
    ttl: settings.ttl,
    negativeTtl: settings.negativeTtl,
    additional: [],
    why: 'no such container, and names without dots are not sent on',
  };
}

type Found = readonly ReadonlyMap<number, RRset>[];

/** The nodes of a name in every zone that has it; a name of its own goes before any wildcard. */
function findLocal(zones: readonly Zone[], name: string): Found | undefined {
  const exact: ReadonlyMap<number, RRset>[] = [];
  for (const zone of zones) {
    const node = zone.node(name) ?? findBySuffix(zone, name, (short) => zone.node(short));
    if (node !== undefined) exact.push(node);
  }
  if (exact.length > 0) return exact;
  const wild: ReadonlyMap<number, RRset>[] = [];
  for (const zone of zones) {
    if (exists(zone, name)) return undefined;
    const node = zone.wildcard(name) ?? findBySuffix(zone, name, (short) => zone.wildcard(short));
    if (node !== undefined) wild.push(node);
  }
  return wild.length > 0 ? wild : undefined;
}

function findBySuffix<T>(zone: Zone, name: string, find: (short: string) => T | undefined): T | undefined {
  for (const suffix of zone.suffixes) {
    const short = stripSuffix(name, suffix);
    const found = short === undefined ? undefined : find(short);
    if (found !== undefined) return found;
  }
  return undefined;
}

function exists(zone: Zone, name: string): boolean {
  return zone.exists(name) || findBySuffix(zone, name, (short) => zone.exists(short) || undefined) === true;
}

/** One type's records over all zones; a container that is on several of them counts on the first alone. */
function mergeSets(found: Found, type: number): Pick<RRset, 'records' | 'rotation' | 'turns'> | undefined {
  const sets = found.flatMap((node) => node.get(type) ?? []);
  const [first] = sets;
  if (first === undefined || sets.length === 1) return first;
  const records: ZoneRecord[] = [];
  const seen = new Set<string>();
  for (const set of sets) {
    const here = new Set<string>();
    for (const record of set.records) {
      const { sandboxKey } = record.source;
      if (sandboxKey !== undefined && seen.has(sandboxKey)) continue;
      if (records.some((one) => one.rdata.equals(record.rdata))) continue;
      if (sandboxKey !== undefined) here.add(sandboxKey);
      records.push(record);
    }
    for (const key of here) seen.add(key);
  }
  const ordered = sets.some(({ turns }) => turns !== undefined) ? putLocalFirst(records) : { records };
  return { ...ordered, rotation: first.rotation };
}

function srvTargets(
  zones: readonly Zone[],
  records: readonly RecordData[],
): { target: string; records: RecordData[] }[] {
  const targets = new Map<string, RecordData[]>();
  for (const record of records) {
    const target = readName(record.rdata, 6)?.name ?? '';
    if (targets.has(target)) continue;
    const found = findLocal(zones, target);
    if (found === undefined) continue;
    targets.set(
      target,
      [types.A, types.AAAA].flatMap((type) => mergeSets(found, type)?.records ?? []),
    );
  }
  return [...targets].map(([target, list]) => ({ target, records: list }));
}

/** The name of the zone that a negative answer speaks for. */
function zoneOf(zones: readonly Zone[], name: string): string {
  for (const { domain } of zones) {
    if (domain !== undefined && (name === domain || stripSuffix(name, domain) !== undefined)) return domain;
  }
  for (const { suffixes } of zones) {
    for (const suffix of suffixes) if (stripSuffix(name, suffix) !== undefined) return suffix;
  }
  const ip = findReversedIp(name);
  if (ip !== undefined) return stripSuffix(name, 'in-addr.arpa') === undefined ? 'ip6.arpa' : 'in-addr.arpa';
  return '';
}

/** Names that mean the same everywhere (RFC 6761 §6.3, §6.4; RFC 7686). */
function findSpecial(
  name: string,
  type: number,
): { rcode: number; sets: AnswerSet[]; soaOwner: string; why: string } | undefined {
  const top = name.slice(name.lastIndexOf('.') + 1);
  if (top === 'localhost') {
    const wanted = [addressData(parseIp('127.0.0.1')), addressData(parseIp('::1'))].filter(
      (data) => data.type === type,
    );
    return {
      rcode: rcodes.NOERROR,
      sets: wanted.length > 0 ? [{ owner: name, records: wanted }] : [],
      soaOwner: 'localhost',
      why: 'localhost (RFC 6761)',
    };
  }
  if (name === loopbackReverse && type === types.PTR) {
    return {
      rcode: rcodes.NOERROR,
      sets: [{ owner: name, records: [nameData(types.PTR, 'localhost')] }],
      soaOwner: '',
      why: 'localhost (RFC 6761)',
    };
  }
  if (top === 'invalid' || top === 'onion') {
    return { rcode: rcodes.NXDOMAIN, sets: [], soaOwner: top, why: `.${top} does not exist (RFC 6761, RFC 7686)` };
  }
  return undefined;
}

const loopbackReverse = reverseName(parseIp('127.0.0.1'));

function sourceOf(records: readonly ZoneRecord[]): string {
  return [...new Set(records.map((record) => record.source.reason))].join(', ');
}
