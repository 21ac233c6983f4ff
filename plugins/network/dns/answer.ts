/**
 * An answer that is ready to send: everything after the question as bytes, so that replying means copying the query's
 * header and question (its own id and the case of its letters with it) and these bytes behind them. Compression pointers inside
 * stay right because the question of one key always has the same length.
 *
 *     body:  before | group, group again | after
 *            CNAMEs   the addresses that rotate, doubled: each rotation is one copy from another offset; behind them those
 *                     that do not, as of other hosts where this host's come first
 */
import type { Query } from './query.ts';
import { type Outcome, outcomeIndex } from './stats.ts';
import { flagAa, flagAd, flagQr, flagRa, flagTc, headerLength, rcodes } from './wire.ts';

/** Where a rotation stands. It belongs to the RRset, not to the answer: answers are made anew when a record changes. */
export interface Rotation {
  next: number;
}

export interface AnswerParts {
  readonly key: Uint8Array;
  readonly rcode: number;
  readonly authoritative: boolean;
  /** RFC 4035 §3.1.6: only as our upstream said. */
  readonly authenticData?: boolean;
  readonly body: Uint8Array;
  readonly counts: readonly [answers: number, authorities: number, additionals: number];
  /** The rotating records: offset of the doubled group in the body, bytes of one record and their number. */
  readonly group?: {
    readonly offset: number;
    readonly unit: number;
    readonly count: number;
    readonly rotation: Rotation;
  };
  /** Where TTLs stand in the body that count down, for answers from upstream. */
  readonly ttlOffsets?: Uint16Array;
  /** Seconds of the caller's clock; absent: for as long as the table lives. */
  readonly storedAt?: number;
  readonly expiresAt?: number;
  /** For the log and the counters: `local`, or the upstream's address. */
  readonly source: string;
}

function outcomeOf({ source, rcode, counts }: AnswerParts): Outcome {
  if (rcode === rcodes.NXDOMAIN) return 'nxdomain';
  if (rcode !== rcodes.NOERROR) return 'failed';
  if (counts[0] === 0) return 'nodata';
  return source === 'local' ? 'local' : 'cached';
}

/** OPT of ours: root, type 41, 1232 bytes, rcode and version 0, no flags, no options. */
export const optLength = 11;
const noOffsets = new Uint16Array(0);
const optRecord = Buffer.from([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);

export class Answer {
  readonly key: Uint8Array;
  readonly rcode: number;
  readonly source: string;
  /** Infinity when it does not expire. */
  readonly expiresAt: number;
  readonly body: Uint8Array;
  readonly counts: readonly [number, number, number];
  readonly #flags2: number;
  readonly authenticData: boolean;
  /** Seconds; 0 where nothing counts down. */
  readonly storedAt: number;
  readonly #groupOffset: number;
  readonly #unit: number;
  readonly #count: number;
  readonly #rotation: Rotation;
  readonly #length: number;
  readonly ttlOffsets: Uint16Array;
  #patchedAt: number;
  /** For the counters. */
  readonly outcome: number;
  readonly outcomeName: Outcome;

  constructor(parts: AnswerParts) {
    this.key = parts.key;
    this.rcode = parts.rcode;
    this.source = parts.source;
    this.expiresAt = parts.expiresAt ?? Number.POSITIVE_INFINITY;
    this.body = parts.body;
    this.counts = parts.counts;
    this.outcomeName = outcomeOf(parts);
    this.outcome = outcomeIndex[this.outcomeName];
    this.#flags2 = flagQr | (parts.authoritative ? flagAa : 0);
    this.authenticData = parts.authenticData ?? false;
    this.#groupOffset = parts.group?.offset ?? 0;
    this.#unit = parts.group?.unit ?? 0;
    this.#count = parts.group?.count ?? 0;
    this.#rotation = parts.group?.rotation ?? { next: 0 };
    this.#length = parts.body.length - this.#unit * this.#count;
    this.ttlOffsets = parts.ttlOffsets ?? noOffsets;
    this.storedAt = parts.storedAt ?? 0;
    this.#patchedAt = this.storedAt;
  }

  /**
   * Writes the whole reply to `out` and returns its length. `limit` is what the client takes; a longer answer is cut with TC
   * set, whole records of the rotating group kept as far as they fit (some clients never ask again over TCP).
   * `now` is in seconds.
   */
  write(
    query: Query,
    message: Uint8Array,
    start: number,
    out: Uint8Array,
    at: number,
    limit: number,
    now: number,
  ): number {
    const { questionEnd } = query;
    for (let i = 0; i < questionEnd; i++) out[at + i] = message[start + i]!;
    let flags = this.#flags2 | (message[start + 2]! & 0x01);
    let low = flagRa | this.rcode | (message[start + 3]! & 0x10);
    // RFC 6840 §5.8: AD means something only to those who asked for it.
    if (this.authenticData && (query.dnssecOk || (message[start + 3]! & flagAd) !== 0)) low |= flagAd;
    let answers = this.counts[0];
    let authorities = this.counts[1];
    let additionals = this.counts[2];
    const tail = query.hasEdns ? optLength : 0;
    let length = this.#length;
    let count = this.#count;
    const room = limit - questionEnd - tail;
    let whole = true;
    if (length > room) {
      whole = false;
      flags |= flagTc;
      const rest = length - this.#unit * count;
      if (count > 0 && rest === this.#groupOffset && rest < room) {
        const fits = Math.floor((room - rest) / this.#unit);
        answers -= count - fits;
        count = fits;
        length = rest + this.#unit * fits;
      } else {
        answers = 0;
        authorities = 0;
        additionals = 0;
        count = 0;
        length = 0;
      }
    }
    if (length > 0) {
      if (this.ttlOffsets.length > 0 && now !== this.#patchedAt) this.#countDown(now);
      const { body } = this;
      let to = at + questionEnd;
      if (count === 0) {
        for (let i = 0; i < length; i++) out[to + i] = body[i]!;
      } else {
        const offset = this.#groupOffset;
        for (let i = 0; i < offset; i++) out[to++] = body[i]!;
        const turn = this.#rotation.next % this.#count;
        this.#rotation.next = turn + 1;
        const from = offset + turn * this.#unit;
        const groupEnd = from + count * this.#unit;
        for (let i = from; i < groupEnd; i++) out[to++] = body[i]!;
        if (whole) for (let i = offset + 2 * this.#unit * this.#count; i < body.length; i++) out[to++] = body[i]!;
      }
    }
    out[at + 2] = flags;
    out[at + 3] = low;
    out[at + 6] = answers >> 8;
    out[at + 7] = answers;
    out[at + 8] = authorities >> 8;
    out[at + 9] = authorities;
    let total = questionEnd + length;
    if (query.hasEdns) {
      const opt = at + total;
      for (let i = 0; i < optLength; i++) out[opt + i] = optRecord[i]!;
      if (query.dnssecOk) out[opt + 7] = 0x80;
      total += optLength;
      additionals += 1;
    }
    out[at + 10] = additionals >> 8;
    out[at + 11] = additionals;
    return total;
  }

  /** Takes the seconds that have passed off every TTL, in the stored bytes: once a second, whatever the load. */
  #countDown(now: number): void {
    const passed = now - this.#patchedAt;
    this.#patchedAt = now;
    if (passed <= 0) return;
    const { body } = this;
    for (const offset of this.ttlOffsets) {
      const ttl =
        ((body[offset]! << 24) | (body[offset + 1]! << 16) | (body[offset + 2]! << 8) | body[offset + 3]!) >>> 0;
      const left = ttl > passed ? ttl - passed : 0;
      body[offset] = left >>> 24;
      body[offset + 1] = left >>> 16;
      body[offset + 2] = left >>> 8;
      body[offset + 3] = left;
    }
  }
}

/**
 * A reply without records: an error, or "truncated, come over TCP". Copies the question when there is one that could be read.
 * Returns the length.
 */
export function writeEmpty(
  query: Query,
  message: Uint8Array,
  start: number,
  out: Uint8Array,
  at: number,
  rcode: number,
  flags = 0,
): number {
  const { questionEnd } = query;
  for (let i = 0; i < questionEnd; i++) out[at + i] = message[start + i]!;
  // Opcode and RD are copied (RFC 1035 §4.1.1).
  out[at + 2] = flagQr | (message[start + 2]! & 0x79) | flags;
  out[at + 3] = flagRa | (rcode & 15) | (message[start + 3]! & 0x10);
  out.fill(0, at + 4, at + headerLength);
  if (questionEnd > headerLength) out[at + 5] = 1;
  if (!query.hasEdns) return questionEnd;
  const opt = at + questionEnd;
  out.set(optRecord, opt);
  if (query.dnssecOk) out[opt + 7] = 0x80;
  if (rcode > 15) out[opt + 5] = rcode >> 4;
  out[at + 11] = 1;
  return questionEnd + optLength;
}
