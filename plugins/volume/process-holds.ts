/** Holds that a command of ours takes (backup, clone): they end with its process. */
import { processStartTicks } from '../linux/mountinfo.ts';
import type { Hold } from './active-mounts.ts';

type HoldingProcess = NonNullable<Hold['process']>;

/** The process as it is now, for a hold. undefined when there is none. */
export function identifyProcess(pid: number): HoldingProcess | undefined {
  const startTicks = processStartTicks(pid);
  return startTicks === undefined ? undefined : { pid, startTicks };
}

/** A later process with the same number has another start time. */
export function processLives({ pid, startTicks }: HoldingProcess): boolean {
  return processStartTicks(pid) === startTicks;
}
