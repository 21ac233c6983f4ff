/**
 * Deadlines for answers, in time that this process could have heard them. A timer alone calls a store dead whose answer lies
 * in the socket while this process was busy, or stopped, for longer than the deadline; then everything is read again, and the
 * process is busy once more. Here an interval counts that, however late, comes once for all that was missed. It runs while
 * somebody waits.
 */
import { Code, ConnectError } from '@connectrpc/connect';

const tickMs = 50;

interface Waiting {
  ticks: number;
  readonly ms: number;
  readonly controller: AbortController;
}

export class Patience {
  readonly #waiting = new Set<Waiting>();
  #ticker: NodeJS.Timeout | undefined;

  /** What the call answers. Its signal aborts with a ConnectError (DeadlineExceeded). */
  async wait<Answer>(ms: number, call: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    const one: Waiting = { ticks: Math.ceil(ms / tickMs), ms, controller: new AbortController() };
    this.#waiting.add(one);
    this.#ticker ??= setInterval(() => this.#tick(), tickMs).unref();
    try {
      return await call(one.controller.signal);
    } finally {
      this.#forget(one);
    }
  }

  /** Nobody is told of deadlines any more. */
  close(): void {
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.#waiting.clear();
  }

  #tick(): void {
    for (const one of this.#waiting) {
      one.ticks -= 1;
      if (one.ticks > 0) continue;
      this.#forget(one);
      one.controller.abort(new ConnectError(`no answer within ${one.ms} ms`, Code.DeadlineExceeded));
    }
  }

  #forget(one: Waiting): void {
    this.#waiting.delete(one);
    if (this.#waiting.size === 0) this.close();
  }
}
