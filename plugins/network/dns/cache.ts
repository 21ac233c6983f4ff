/**
 * Answers of upstreams, kept for as long as their TTL says in a ring of bytes of fixed size: no object for each, so that a client that asks
 * for ever new names costs neither memory nor the garbage collector's time. What is asked again becomes an Answer, which the tables
 * of views (view.ts) keep at hand.
 *
 *     tail ─► entry entry entry … ─► head        the oldest are overwritten; what is asked for when it is old goes to the head again
 *     entry   size | hash | expires | stored | lengths, rcode, counts, source | TTL offsets | key | body
 *
 * Found by the hash of the question (query.ts), which knows the DO bit too; of two questions with one hash, the later stays.
 */
import { Answer } from './answer.ts';
import { sameKey } from './query.ts';
import type { Response, ResponseRecord } from './response.ts';
import { headerLength, rcodes, types } from './wire.ts';

export interface CacheLimits {
  readonly maxBytes: number;
  /** Seconds; a day, as most resolvers keep at most. */
  readonly maxTtl: number;
  /** Seconds; RFC 2308 §5 suggests one to three hours at most. */
  readonly maxNegativeTtl: number;
}

export const defaultCacheLimits: CacheLimits = { maxBytes: 8 << 20, maxTtl: 86_400, maxNegativeTtl: 3600 };
/** RFC 2308 §7.1 allows a failure to be remembered for up to five minutes; a second is enough to stop a storm. */
const failureTtl = 1;
const entryHeader = 32;
/** Twice as many places as entries of the usual size, so that a place is nearly always free. */
const bytesPerPlace = 64;

export class AnswerCache {
  readonly #limits: CacheLimits;
  readonly #capacity: number;
  /**
   * Where entries begin, in words and plus one (0: empty): places of a hash are the four at `hash & #mask`. Entries that nothing leads to
   * are dead, and go when the tail reaches them.
   */
  #index = new Uint32Array(0);
  #mask = 0;
  #size = 0;
  /** Made with the first answer; pages that were never written cost nothing. */
  #ring: Uint8Array | undefined;
  #words = new Uint32Array(0);
  #head = 0;
  #tail = 0;
  /** Entries between tail and head, dead ones too. */
  #count = 0;
  #bytes = 0;
  readonly #sources: string[] = [];

  constructor(limits: CacheLimits = defaultCacheLimits) {
    this.#limits = limits;
    this.#capacity = limits.maxBytes & ~3;
  }

  get size(): number {
    return this.#size;
  }

  /** Of the entries that can be found. */
  get bytes(): number {
    return this.#bytes;
  }

  /** `now` in seconds. */
  find(hash: number, key: Uint8Array, now: number): Answer | undefined {
    const place = this.#placeOf(hash);
    const ring = this.#ring;
    if (place < 0 || ring === undefined) return undefined;
    const words = this.#words;
    const w = this.#index[place]! - 1;
    const at = w << 2;
    const ttls = words[w + 4]! >>> 16;
    const keyAt = at + entryHeader + ttls * 2;
    const bodyAt = keyAt + (words[w + 4]! & 0xffff);
    const stored = ring.slice(keyAt, bodyAt);
    if (!sameKey(stored, key)) return undefined;
    const expiresAt = words[w + 2]!;
    if (expiresAt <= now) {
      this.#forget(place);
      return undefined;
    }
    const lengths = words[w + 5]!;
    const answer = new Answer({
      key: stored,
      rcode: (lengths >>> 16) & 0xff,
      authoritative: false,
      authenticData: lengths >>> 24 === 1,
      body: ring.slice(bodyAt, bodyAt + (lengths & 0xffff)),
      counts: [words[w + 6]! & 0xffff, words[w + 6]! >>> 16, words[w + 7]! & 0xffff],
      ttlOffsets: new Uint16Array(ring.slice(at + entryHeader, keyAt).buffer),
      storedAt: words[w + 3]!,
      expiresAt,
      source: this.#sources[words[w + 7]! >>> 16] ?? '',
    });
    // In the older half it would soon be overwritten although it is in use.
    if (this.#ageOf(at) > this.#capacity / 2) this.put(hash, answer);
    return answer;
  }

  /** Takes a copy of an answer that has not been sent yet: its TTLs are those of `storedAt`. */
  put(hash: number, answer: Answer): void {
    const { key, body, ttlOffsets, counts } = answer;
    const size = (entryHeader + ttlOffsets.length * 2 + key.length + body.length + 3) & ~3;
    if (size > this.#capacity / 4) return;
    this.#ring ??= this.#makeRing();
    const before = this.#placeOf(hash);
    if (before >= 0) this.#forget(before);
    this.#makeRoom(size);
    const ring = this.#ring;
    const words = this.#words;
    const at = this.#head;
    const w = at >> 2;
    words[w] = size;
    words[w + 1] = hash;
    words[w + 2] = answer.expiresAt;
    words[w + 3] = answer.storedAt;
    words[w + 4] = key.length | (ttlOffsets.length << 16);
    words[w + 5] = body.length | (answer.rcode << 16) | (answer.authenticData ? 1 << 24 : 0);
    words[w + 6] = counts[0] | (counts[1] << 16);
    words[w + 7] = counts[2] | (this.#sourceIndex(answer.source) << 16);
    let to = at + entryHeader;
    for (const offset of ttlOffsets) {
      ring[to++] = offset & 0xff;
      ring[to++] = offset >> 8;
    }
    for (let i = 0; i < key.length; i++) ring[to++] = key[i]!;
    for (let i = 0; i < body.length; i++) ring[to++] = body[i]!;
    this.#index[this.#freePlace(hash)] = w + 1;
    this.#size++;
    this.#bytes += size;
    this.#count++;
    this.#head = at + size;
  }

  #makeRing(): Uint8Array {
    const ring = new Uint8Array(this.#capacity);
    this.#words = new Uint32Array(ring.buffer);
    const places = 2 ** Math.ceil(Math.log2(this.#capacity / bytesPerPlace));
    this.#index = new Uint32Array(places);
    this.#mask = places - 4;
    return ring;
  }

  /** Which place of the index leads to the entry of a hash; -1 when none does. */
  #placeOf(hash: number): number {
    const first = hash & this.#mask;
    for (let place = first; place < first + 4; place++) {
      const word = this.#index[place]!;
      if (word !== 0 && this.#words[word]! === hash) return place;
    }
    return -1;
  }

  /** An empty place for a hash; when all four are taken, that of the entry which would be overwritten first is emptied. */
  #freePlace(hash: number): number {
    const first = hash & this.#mask;
    let oldest = first;
    let longest = -1;
    for (let place = first; place < first + 4; place++) {
      const word = this.#index[place]!;
      if (word === 0) return place;
      const age = this.#ageOf((word - 1) << 2);
      if (age > longest) {
        longest = age;
        oldest = place;
      }
    }
    this.#forget(oldest);
    return oldest;
  }

  /** Bytes written since. */
  #ageOf(at: number): number {
    return (this.#head - at + this.#capacity) % this.#capacity;
  }

  #sourceIndex(source: string): number {
    const known = this.#sources.indexOf(source);
    return known >= 0 ? known : this.#sources.push(source) - 1;
  }

  #forget(place: number): void {
    this.#bytes -= this.#words[this.#index[place]! - 1]!;
    this.#index[place] = 0;
    this.#size--;
  }

  /** Afterwards `size` bytes at the head are free. */
  #makeRoom(size: number): void {
    for (;;) {
      if (this.#count === 0) {
        this.#head = 0;
        this.#tail = 0;
        return;
      }
      if (this.#tail < this.#head) {
        if (this.#head + size <= this.#capacity) return;
        // The rest is too small: a size of 0 tells the tail to go on at the beginning.
        if (this.#head < this.#capacity) this.#words[this.#head >> 2] = 0;
        this.#head = 0;
      } else if (this.#head + size <= this.#tail) {
        return;
      } else {
        this.#dropOldest();
      }
    }
  }

  #dropOldest(): void {
    if (this.#tail === this.#capacity || this.#words[this.#tail >> 2] === 0) {
      this.#tail = 0;
      return;
    }
    const w = this.#tail >> 2;
    const place = this.#placeOf(this.#words[w + 1]!);
    if (place >= 0 && this.#index[place] === w + 1) this.#forget(place);
    this.#tail += this.#words[w]!;
    this.#count--;
  }

  /** How long a response may be kept, in seconds; 0: not at all. */
  lifetime(message: Uint8Array, response: Response): number {
    if (response.truncated) return 0;
    const { rcode, records } = response;
    if (rcode === rcodes.SERVFAIL) return failureTtl;
    if (rcode !== rcodes.NOERROR && rcode !== rcodes.NXDOMAIN) return 0;
    let shortest = this.#limits.maxTtl;
    let hasAnswer = false;
    let soa: ResponseRecord | undefined;
    for (const record of records) {
      if (record.ttl < shortest) shortest = record.ttl;
      if (record.section === 'answer' && record.type === response.question?.type) hasAnswer = true;
      if (record.section === 'authority' && record.type === types.SOA) soa ??= record;
    }
    if (rcode === rcodes.NOERROR && hasAnswer) return shortest;
    // RFC 2308 §5: the smaller of the SOA's TTL and its MINIMUM field; without an SOA nothing is kept.
    if (soa === undefined || soa.end - soa.dataAt < 4) return 0;
    return Math.min(this.#limits.maxNegativeTtl, minimumOf(message, soa), shortest);
  }
}

/** The last field of an SOA. */
function minimumOf(message: Uint8Array, soa: ResponseRecord): number {
  const at = soa.end - 4;
  return ((message[at]! << 24) | (message[at + 1]! << 16) | (message[at + 2]! << 8) | message[at + 3]!) >>> 0;
}

/**
 * The answer that a response from upstream makes: its sections as they came, OPT taken out, so that compression pointers stay
 * right (the question has the same length as the one it answers). undefined when the response has no question of this length.
 */
export function answerFromResponse(
  message: Uint8Array,
  response: Response,
  query: { key: Uint8Array },
  source: string,
  now: number,
  lifetime: number,
): Answer | undefined {
  const { key } = query;
  if (response.questionEnd !== headerLength + key.length + 2) return undefined;
  // Records behind OPT would move when it is taken out, and pointers into them break: leave them (they are additional only).
  const end = response.opt?.start ?? message.length;
  const counts: [number, number, number] = [0, 0, 0];
  let soa: ResponseRecord | undefined;
  let bodyEnd = response.questionEnd;
  let kept = 0;
  for (const record of response.records) {
    if (record.end > end) break;
    kept++;
    bodyEnd = record.end;
    counts[record.section === 'answer' ? 0 : record.section === 'authority' ? 1 : 2]++;
    if (record.type === types.SOA && record.section === 'authority') soa ??= record;
  }
  const body = new Uint8Array(bodyEnd - response.questionEnd);
  for (let i = 0; i < body.length; i++) body[i] = message[response.questionEnd + i]!;
  const ttlOffsets = new Uint16Array(kept);
  for (let i = 0; i < kept; i++) ttlOffsets[i] = response.records[i]!.ttlAt - response.questionEnd;
  // RFC 2308 §5: the SOA of a negative answer goes out with the time that is left of it.
  if (soa !== undefined && soa.end - soa.dataAt >= 4) {
    const minimum = minimumOf(message, soa);
    if (minimum < soa.ttl) new DataView(body.buffer).setUint32(soa.ttlAt - response.questionEnd, minimum);
  }
  return new Answer({
    key,
    // Extended rcodes do not fit without their OPT: SERVFAIL says as much as a client needs.
    rcode: response.rcode > 15 ? rcodes.SERVFAIL : response.rcode,
    authoritative: false,
    authenticData: response.authenticData,
    body,
    counts,
    ttlOffsets,
    storedAt: now,
    expiresAt: now + lifetime,
    source,
  });
}
