/**
 * Keeps one client of a shared socket from taking all of it: in each tenth of a second, once others ask too, a client has its share and no
 * more. A client that is alone is never held back. Counts sit in a small table by a hash of the address: two clients that meet there
 * share a share, which is rare and harmless.
 */

const windowMs = 100;
const tableSize = 1024;
/** Queries per window that a client may ask while others are there: 20 000 a second. */
const shareWhenCrowded = 2000;

export class FairShare {
  readonly #counts = new Uint32Array(tableSize);
  #windowEnd = 0;
  #clients = 0;

  /** `now` in milliseconds. */
  beginBatch(now: number): void {
    if (now < this.#windowEnd) return;
    this.#windowEnd = now + windowMs;
    this.#counts.fill(0);
    this.#clients = 0;
  }

  admits(peer: number): boolean {
    const at = (peer ^ (peer >>> 10) ^ (peer >>> 20)) & (tableSize - 1);
    const count = this.#counts[at]!;
    if (count === 0) this.#clients++;
    this.#counts[at] = count + 1;
    return this.#clients === 1 || count < shareWhenCrowded;
  }
}
