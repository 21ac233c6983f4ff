/**
 * Runs calls for one object one after another, in order of arrival, and calls for different objects side by side.
 *
 * A call names all its keys at once and joins every queue in the same instant, so a call only ever waits for earlier ones
 * and two calls can never wait for each other. Shared holders of a key run together; an exclusive one runs alone.
 */
import type { Locks } from './protocol/method.ts';

interface Queue {
  /** Settles when the last exclusive call has ended. */
  exclusive: Promise<unknown>;
  /** Shared calls that arrived after it. */
  shared: Promise<unknown>[];
  members: number;
}

export class LockQueue {
  readonly #queues = new Map<string, Queue>();

  /** Keys that somebody holds or waits for. */
  get size(): number {
    return this.#queues.size;
  }

  /**
   * Waits for its turn, then runs the task. When the signal aborts first, the task never starts and the signal's reason is
   * thrown. A task that has started keeps its keys until it ends, even when nobody waits for its result any more.
   */
  async run<T>(locks: Locks, signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const turn = Promise.all([
      ...(locks.exclusive ?? []).map((key) => this.#enter(key, ended, true)),
      ...(locks.shared ?? []).map((key) => this.#enter(key, ended, false)),
    ]);
    try {
      await untilAborted(turn, signal);
    } catch (error) {
      // Its place in the queues lasts until its turn would have come: those behind it wait for this promise alone.
      void turn.then(() => end());
      throw error;
    }
    try {
      return await task();
    } finally {
      end();
    }
  }

  /** Joins one queue and returns what has to be waited for there. */
  #enter(key: string, ended: Promise<void>, exclusive: boolean): Promise<unknown> {
    const queue = this.#queues.get(key) ?? { exclusive: Promise.resolve(), shared: [], members: 0 };
    this.#queues.set(key, queue);
    queue.members += 1;
    void ended.then(() => {
      queue.members -= 1;
      if (queue.members === 0) this.#queues.delete(key);
    });
    const before = exclusive ? Promise.all([queue.exclusive, ...queue.shared]) : queue.exclusive;
    if (exclusive) {
      queue.exclusive = ended;
      queue.shared = [];
    } else {
      queue.shared.push(ended);
    }
    return before;
  }
}

/** The promise's outcome, or the signal's reason as an error if that comes first. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason as Error);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
