/**
 * Answers of upstreams, kept for as long as their TTL says and no longer than the limit on memory allows. Answers are shared with the
 * tables of views (view.ts), so that the hot path finds them in one step. Keys are those of questions plus the DO bit.
 *
 * Eviction: oldest first, but what was used since it was last looked at gets a second round.
 */
import { Answer } from './answer.ts';
import type { Response } from './response.ts';
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

export class AnswerCache {
  readonly #entries = new Map<string, Answer>();
  readonly #limits: CacheLimits;
  #bytes = 0;

  constructor(limits: CacheLimits = defaultCacheLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `now` in seconds. */
  find(key: string, now: number): Answer | undefined {
    const answer = this.#entries.get(key);
    if (answer === undefined) return undefined;
    if (answer.expiresAt > now) return answer;
    this.#drop(key, answer);
    return undefined;
  }

  put(key: string, answer: Answer): void {
    const before = this.#entries.get(key);
    if (before !== undefined) this.#drop(key, before);
    this.#entries.set(key, answer);
    this.#bytes += answer.size;
    for (const [oldKey, old] of this.#entries) {
      if (this.#bytes <= this.#limits.maxBytes) return;
      if (oldKey === key) continue;
      this.#drop(oldKey, old);
      if (!old.used) continue;
      old.used = false;
      this.#entries.set(oldKey, old);
      this.#bytes += old.size;
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #drop(key: string, answer: Answer): void {
    this.#entries.delete(key);
    this.#bytes -= answer.size;
  }

  /** How long a response may be kept, in seconds; 0: not at all. */
  lifetime(message: Uint8Array, response: Response): number {
    if (response.truncated) return 0;
    if (response.rcode === rcodes.SERVFAIL) return failureTtl;
    const hasAnswer = response.records.some(
      (record) => record.section === 'answer' && record.type === response.question?.type,
    );
    if (response.rcode === rcodes.NOERROR && hasAnswer) {
      return Math.min(this.#limits.maxTtl, ...response.records.map((record) => record.ttl));
    }
    if (response.rcode !== rcodes.NOERROR && response.rcode !== rcodes.NXDOMAIN) return 0;
    // RFC 2308 §5: the smaller of the SOA's TTL and its MINIMUM field; without an SOA nothing is kept.
    const soa = response.records.find((record) => record.section === 'authority' && record.type === types.SOA);
    if (soa === undefined || soa.end - soa.dataAt < 4) return 0;
    const minimum = new DataView(message.buffer, message.byteOffset + soa.end - 4).getUint32(0);
    return Math.min(this.#limits.maxNegativeTtl, minimum, ...response.records.map((record) => record.ttl));
  }
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
  const kept = response.records.filter((record) => record.end <= end);
  const count = (section: string) => kept.filter((record) => record.section === section).length;
  const bodyEnd = kept.at(-1)?.end ?? response.questionEnd;
  const body = Buffer.allocUnsafeSlow(bodyEnd - response.questionEnd);
  body.set(message.subarray(response.questionEnd, bodyEnd));
  // RFC 2308 §5: the SOA of a negative answer goes out with the time that is left of it.
  const soa = kept.find((record) => record.type === types.SOA && record.section === 'authority');
  if (soa !== undefined && soa.end - soa.dataAt >= 4) {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    const minimum = view.getUint32(soa.end - 4);
    if (minimum < soa.ttl) body.writeUInt32BE(minimum, soa.ttlAt - response.questionEnd);
  }
  return new Answer({
    key,
    // Extended rcodes do not fit without their OPT: SERVFAIL says as much as a client needs.
    rcode: response.rcode > 15 ? rcodes.SERVFAIL : response.rcode,
    authoritative: false,
    authenticData: response.authenticData,
    body,
    counts: [count('answer'), count('authority'), count('additional')],
    ttlOffsets: Uint16Array.from(kept, (record) => record.ttlAt - response.questionEnd),
    storedAt: now,
    expiresAt: now + lifetime,
    source,
  });
}
