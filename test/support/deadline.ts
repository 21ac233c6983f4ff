/** Waiting in tests: for a condition, by asking again, never by sleeping for a guessed time. */
import { setTimeout as delay } from 'node:timers/promises';

/** In a guest kernel every instruction is a program's, and other tests run beside it. */
export const patience = process.env['CLEAT_GUEST'] === undefined ? 1 : 3;

export interface WaitOptions {
  /** Give up after this long, three times as long in a guest; default 20 s. It only bounds a failure, so it is generous. */
  readonly timeoutMs?: number;
  /** Time between two questions; default 50 ms. */
  readonly everyMs?: number;
}

/**
 * Asks until the answer is neither undefined, null nor false, and returns it. An exception counts as "not yet"; the last
 * one is the cause of the failure.
 */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, undefined | null | false>> {
  const timeoutMs = (options.timeoutMs ?? 20_000) * patience;
  const end = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== null && answer !== false) {
        return answer as Exclude<T, undefined | null | false>;
      }
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= end) throw new Error(`not within ${timeoutMs} ms: ${what}${because(cause)}`, { cause });
    await delay(options.everyMs ?? 50);
  }
}

/** The promise's result, or a failure that names what was waited for. The work itself is not stopped. */
export async function deadline<T>(what: string, timeoutMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${timeoutMs} ms: ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function because(cause: unknown): string {
  if (cause === undefined) return '';
  return ` (last: ${cause instanceof Error ? cause.message : String(cause)})`;
}
