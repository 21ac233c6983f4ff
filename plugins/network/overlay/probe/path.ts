/**
 * What is known of the way to one host, from probes that came back and probes that did not. Pure: asked what to send next, told
 * what came back.
 *
 * Each round sends two small probes, one whose checksum the network card may have to fill in and one that has none (RFC 6935),
 * and now and then one as large as the network lets it. Answers never have a checksum. So:
 *
 *     those without come back, those with do not    checksums are damaged on the way out of this host
 *     small ones come back, large ones do not       an MTU black hole: the largest that passes is looked for
 */

export interface Probe {
  readonly id: number;
  readonly checked: boolean;
  /** Of the IP packet, bytes. */
  readonly size: number;
}

export interface PathStatus {
  /** Median of the last round trips. */
  readonly latencyMs: number | undefined;
  /** Of the last probes without a checksum: 0 to 1. */
  readonly loss: number | undefined;
  /** The largest packet that passed. */
  readonly mtu: number | undefined;
  readonly mtuHole: boolean;
  /** None of the last probes came back. */
  readonly silent: boolean;
  readonly checksums: 'unknown' | 'good' | 'damaged';
}

/** IPv6's least, RFC 8200 §5. */
export const smallestMtu = 1280;
const smallSize = 128;
/** How many probes count for loss and latency. */
const memory = 30;
/** So many must agree before something is believed. */
const evidence = 4;
/** How often a whole-sized probe goes when all is well, in rounds. */
const largeEvery = 15;

interface Sent extends Probe {
  readonly at: number;
  readonly round: number;
  backAt?: number;
}

export class Path {
  readonly #mtu: number;
  readonly #sent: Sent[] = [];
  /** The round of the first probe that came back. */
  #begun: number | undefined;
  #round = 0;
  #checksums: PathStatus['checksums'] = 'unknown';
  /** While the largest size is looked for: what passed, and what did not. */
  #search: { low: number; high: number } | undefined;
  #largest: number | undefined;
  #hole = false;
  /** Rounds before this one say nothing: the sender was changed since. */
  #fresh = 0;

  /** `mtu`: of the network. */
  constructor(mtu: number) {
    this.#mtu = mtu;
  }

  /** Since the first answer; before it, all. */
  get rounds(): number {
    return this.#round - (this.#begun ?? 0);
  }

  /** The largest size is being looked for. */
  get searching(): boolean {
    return this.#search !== undefined;
  }

  /** Probes to send now. `nextId` gives a new number for each. */
  next(now: number, nextId: () => number): Probe[] {
    this.#round += 1;
    this.#judge();
    const probes: Omit<Probe, 'id'>[] = [
      { checked: true, size: smallSize },
      { checked: false, size: smallSize },
    ];
    const large = this.#search
      ? Math.ceil((this.#search.low + this.#search.high) / 2)
      : this.#hole || this.rounds <= evidence || this.#round % largeEvery < evidence
        ? this.#mtu
        : undefined;
    if (large !== undefined) probes.push({ checked: false, size: large });
    return probes.map((probe) => {
      const sent = { ...probe, id: nextId(), at: now, round: this.#round };
      this.#sent.push(sent);
      if (this.#sent.length > memory * 3) this.#sent.shift();
      return sent;
    });
  }

  back(id: number, now: number): void {
    const sent = this.#sent.find((one) => one.id === id && one.backAt === undefined);
    if (!sent) return;
    sent.backAt = now;
    if (this.#begun === undefined) {
      // The other side begins when it hears of the network: what was sent before says nothing of the way.
      this.#sent.splice(0, this.#sent.indexOf(sent));
      this.#begun = sent.round;
    }
    if (sent.checked) this.#checksums = 'good';
    if (sent.size > smallSize && sent.size > (this.#largest ?? 0)) this.#largest = sent.size;
    if (this.#search && sent.size > this.#search.low) this.#search = { ...this.#search, low: sent.size };
    if (sent.size === this.#mtu) {
      this.#search = undefined;
      this.#hole = false;
    }
  }

  /** What probes are sent with is other than before. */
  changed(): void {
    this.#fresh = this.#round;
    this.#checksums = 'unknown';
  }

  status(): PathStatus {
    const over = this.#over(memory, ({ checked, size }) => !checked && size === smallSize);
    const trips = over.flatMap(({ at, backAt }) => (backAt === undefined ? [] : [backAt - at])).sort((a, b) => a - b);
    return {
      latencyMs: trips[Math.floor(trips.length / 2)],
      loss: over.length === 0 ? undefined : 1 - trips.length / over.length,
      mtu: this.#largest,
      mtuHole: this.#hole,
      silent: over.length >= evidence && over.slice(-2 * evidence).every(({ backAt }) => backAt === undefined),
      checksums: this.#checksums,
    };
  }

  #judge(): void {
    const plain = this.#over(evidence, ({ checked, size }) => !checked && size === smallSize);
    // Where nothing passes, nothing is known.
    if (plain.length < evidence || plain.filter(({ backAt }) => backAt !== undefined).length < evidence - 1) return;
    const checked = this.#over(evidence, (one) => one.checked && one.round > this.#fresh);
    if (checked.length === evidence && checked.every(({ backAt }) => backAt === undefined)) this.#checksums = 'damaged';
    if (this.#search) {
      const { low, high } = this.#search;
      const size = Math.ceil((low + high) / 2);
      const tries = this.#over(3, (one) => one.size === size);
      if (tries.length === 3 && tries.every(({ backAt }) => backAt === undefined))
        this.#search = { low, high: size - 1 };
      if (this.#search.high <= this.#search.low) this.#search = undefined;
      return;
    }
    const large = this.#over(evidence, ({ size }) => size === this.#mtu);
    if (this.#hole || large.length < evidence || large.some(({ backAt }) => backAt !== undefined)) return;
    this.#hole = true;
    this.#largest = undefined;
    this.#search = { low: Math.min(smallestMtu, this.#mtu) - 1, high: this.#mtu - 1 };
  }

  /** The last ones of a kind whose answer should be here: none of this round and the one before. */
  #over(count: number, is: (sent: Sent) => boolean): Sent[] {
    return this.#sent.filter((sent) => sent.round < this.#round - 1 && is(sent)).slice(-count);
  }
}
