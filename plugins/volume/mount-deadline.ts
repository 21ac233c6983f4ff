/**
 * How long work on a volume may take. Podman waits 5 s for an answer and asks with an ID of its own, so its mounts never get
 * more than that; Docker waits 120 s for Create and Mount, so a volume may ask for more with `mount-timeout`.
 */
import { podmanMountId } from './active-mounts.ts';
import type { Budget } from './backend.ts';

/** Below Podman's 5 s, with the second in it that an unkillable child may add. */
export const defaultTimeoutMs = 3500;
export const maxTimeoutMs = 110_000;
/** File systems are made in Create: no answer is needed earlier than Docker's 120 s, and Podman is told in the manual page. */
export const createTimeoutMs = 100_000;

export function mountTimeout(id: string, wantedMs: number | undefined): number {
  return id === podmanMountId
    ? Math.min(defaultTimeoutMs, wantedMs ?? defaultTimeoutMs)
    : (wantedMs ?? defaultTimeoutMs);
}

export function startBudget(timeoutMs: number, signal?: AbortSignal): Budget {
  const end = performance.now() + timeoutMs;
  const timer = AbortSignal.timeout(timeoutMs);
  return {
    left: () => Math.max(1, Math.round(end - performance.now())),
    signal: signal === undefined ? timer : AbortSignal.any([timer, signal]),
  };
}
