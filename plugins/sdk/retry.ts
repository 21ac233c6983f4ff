/** The engine's rule for calls whose exchange failed: again after 1, 2, 4 and 8 s, unless that would pass 30 s. */
import { setTimeout as sleep } from 'node:timers/promises';

export const ENGINE_DELAYS_MS: readonly number[] = [1000, 2000, 4000, 8000];
export const ENGINE_WINDOW_MS = 30_000;

export interface RetryRule {
  readonly delaysMs: readonly number[];
  /** No attempt starts later than this after the first. */
  readonly windowMs: number;
}

export const engineRetryRule: RetryRule = { delaysMs: ENGINE_DELAYS_MS, windowMs: ENGINE_WINDOW_MS };

/** Runs the attempt until it succeeds or the rule is used up; `again` tells which errors are worth another attempt. */
export async function withRetry<T>(
  rule: RetryRule,
  attempt: () => Promise<T>,
  again: (error: unknown) => boolean,
  signal?: AbortSignal,
): Promise<T> {
  const started = performance.now();
  for (let round = 0; ; round += 1) {
    try {
      return await attempt();
    } catch (error) {
      const delayMs = rule.delaysMs[round];
      const late = delayMs === undefined || performance.now() - started + delayMs > rule.windowMs;
      if (late || !again(error) || signal?.aborted) throw error;
      await pause(delayMs, signal);
    }
  }
}

/** Throws the signal's reason when it aborts. */
export async function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(delayMs, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    throw signal?.reason ?? error;
  }
}
