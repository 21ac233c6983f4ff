/** Restart policies: whether a container that has ended is started again, and how long to wait first. */
import type { ContainerRecord } from './record.ts';

const firstDelayMs = 100;
const maxDelayMs = 60_000;
/** A container that ran so long starts with the first delay again. */
const steadyMs = 10_000;

export interface Ended {
  readonly exitCode: number;
  readonly ranMs: number;
  /** By stop, kill or rm. */
  readonly requested: boolean;
}

export function shouldRestart(record: ContainerRecord, ended: Ended): boolean {
  const { Name: name, MaximumRetryCount: most } = record.hostConfig.RestartPolicy;
  if (ended.requested) return false;
  if (name === 'always' || name === 'unless-stopped') return true;
  return name === 'on-failure' && ended.exitCode !== 0 && (most === 0 || record.state.restartCount < most);
}

/** Doubles with each attempt from 100 ms to a minute, as Docker does. */
export function nextDelayMs(previousMs: number | undefined, ranMs: number): number {
  if (previousMs === undefined || ranMs >= steadyMs) return firstDelayMs;
  return Math.min(previousMs * 2, maxDelayMs);
}
