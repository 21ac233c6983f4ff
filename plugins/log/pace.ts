/**
 * How long a pipe may collect after a turn that found little: a chatty container then costs one wake-up for many lines. As long as
 * the bytes of a small turn need at the rate seen last, so the pipe does not fill; and not so long that a follower would notice.
 */
export const smallTurnBytes = 32 * 1024;
const shortestMs = 1;
/** An engine fills the pipe of 1 MiB in no less. */
const longestMs = 5;

export class Pace {
  #since = performance.now();
  #bytes = 0;

  /** A turn found so many bytes. */
  found(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Of the next pause, in milliseconds; the rate is that since the last one. */
  pauseMs(): number {
    const now = performance.now();
    const neededMs = this.#bytes === 0 ? shortestMs : Math.floor((smallTurnBytes * (now - this.#since)) / this.#bytes);
    this.#since = now;
    this.#bytes = 0;
    return Math.min(Math.max(neededMs, shortestMs), longestMs);
  }
}
