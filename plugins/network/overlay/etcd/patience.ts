/**
 * Deadlines for answers, in time that this process could have heard them. A timer alone calls a store dead whose answer lies
 * in the socket while this process was busy, or stopped, for longer than the deadline; then everything is read again, and the
 * process is busy once more. Here an interval counts that, however late, comes once for all that was missed.
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

  /** Aborts with a ConnectError (DeadlineExceeded). */
  signal(ms: number): AbortSignal {
    const controller = new AbortController();
    this.#waiting.add({ ticks: Math.ceil(ms / tickMs), ms, controller });
    this.#ticker ??= setInterval(() => this.#tick(), tickMs).unref();
    return controller.signal;
  }

  close(): void {
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.#waiting.clear();
  }

  #tick(): void {
    for (const one of this.#waiting) {
      one.ticks -= 1;
      if (one.ticks > 0) continue;
      this.#waiting.delete(one);
      one.controller.abort(new ConnectError(`no answer within ${one.ms} ms`, Code.DeadlineExceeded));
    }
    if (this.#waiting.size === 0) this.close();
  }
}
