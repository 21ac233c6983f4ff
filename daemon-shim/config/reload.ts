/** SIGHUP: of the configuration read anew, only what dockerd takes over while it runs, too. */
import type { ShimConfig } from './config.ts';

const reloadable = [
  'debug',
  'labels',
  'liveRestore',
  'runtimes',
  'defaultRuntime',
  'shutdownTimeoutSeconds',
] as const satisfies readonly (keyof ShimConfig)[];

export interface Reloaded {
  readonly config: ShimConfig;
  /** Keys that took effect. */
  readonly changed: readonly string[];
  /** Keys that differ and wait for the next start. */
  readonly later: readonly string[];
}

export function reloadConfig(current: ShimConfig, read: ShimConfig): Reloaded {
  const differing = (Object.keys({ ...current, ...read }) as (keyof ShimConfig)[]).filter(
    (key) => JSON.stringify(current[key]) !== JSON.stringify(read[key]),
  );
  const isReloadable = (key: string) => (reloadable as readonly string[]).includes(key);
  const changed = differing.filter(isReloadable);
  const taken = Object.fromEntries(changed.map((key) => [key, read[key]]));
  return { config: { ...current, ...taken }, changed, later: differing.filter((key) => !isReloadable(key)) };
}
