/** What goes on without being asked: holds that nobody stands behind, servers that go and come back, mounts at boot. */
import type { Logger } from 'pino';
import type { CommonConfig } from './common-options.ts';
import { mountTimeout, startBudget } from './mount-deadline.ts';
import type { DriverVolumes } from './volume-driver.ts';

/** Old holds are looked at this often at least; without any, a look costs nothing. */
const longestSweepMs = 5000;
const shortestSweepMs = 250;
const probeEveryMs = 20_000;
const probeTimeoutMs = 5000;
const firstRetryMs = 1000;
const longestRetryMs = 30_000;

type AnyVolumes = DriverVolumes<CommonConfig>;

export interface Background {
  /** Mounts volumes ahead of their containers, until each has been mounted, removed or taken by somebody. */
  retryAtBoot(volumes: AnyVolumes, names: readonly string[]): void;
  stop(): void;
}

export function startBackground(all: readonly AnyVolumes[], staleAfterMs: number, log: Logger): Background {
  const sweepEveryMs = Math.min(longestSweepMs, Math.max(shortestSweepMs, staleAfterMs / 4));
  const stopping = new AbortController();
  const sweeper = setInterval(() => {
    for (const volumes of all) volumes.sweep();
  }, sweepEveryMs).unref();
  const prober = setInterval(() => {
    for (const volumes of all) void probeAll(volumes, stopping.signal);
  }, probeEveryMs).unref();
  return {
    retryAtBoot(volumes, names) {
      for (const name of names) void retry(volumes, name, stopping.signal, log);
    },
    stop() {
      stopping.abort();
      clearInterval(sweeper);
      clearInterval(prober);
    },
  };
}

async function probeAll(volumes: AnyVolumes, signal: AbortSignal): Promise<void> {
  const { backend, records, health } = volumes;
  if (backend.probe === undefined) return;
  const attached = records.all().filter((record) => volumes.attachments.path(record) !== undefined);
  await Promise.all(
    attached.map(async (record) => {
      const trouble = await backend.probe?.(volumes.volume(record), startBudget(probeTimeoutMs, signal));
      if (trouble === undefined) {
        if (health.get(record.name)?.health === 'unreachable') health.set(record.name, 'mounted');
        return;
      }
      health.fail(record.name, 'unreachable', new Error(trouble.message));
      // Nobody would notice: the next mount starts from nothing.
      if (trouble.lost && records.get(record.name)?.holds.length === 0)
        await volumes.attachments.detachSoon(record.name);
    }),
  );
}

async function retry(volumes: AnyVolumes, name: string, signal: AbortSignal, log: Logger): Promise<void> {
  for (let waitMs = firstRetryMs; !signal.aborted; waitMs = Math.min(2 * waitMs, longestRetryMs)) {
    const done = await volumes.queue.run(name, async () => {
      const record = volumes.records.get(name);
      if (record?.state !== 'ready' || record.holds.length > 0 || volumes.attachments.path(record) !== undefined)
        return true;
      const { config } = volumes.volume(record);
      return await volumes.attachments
        .attach(record, startBudget(mountTimeout('', config.mountTimeoutMs), signal))
        .then(
          () => true,
          (error: unknown) => {
            volumes.health.fail(name, 'retrying', error);
            return false;
          },
        );
    });
    if (done) return;
    log.info({ volume: name, waitMs }, 'not mounted yet; tried again in the background');
    await new Promise((resolve) => setTimeout(resolve, waitMs).unref());
  }
}
