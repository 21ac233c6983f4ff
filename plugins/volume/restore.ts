/**
 * At the start: what the records say and what the kernel has are brought together. Nothing here waits for a server, and no
 * data that no record knows is deleted.
 *
 *     another boot          no hold is left of the one before
 *     the same boot         holds are kept, as old ones: who really uses the volume shows later (DriverVolumes.sweep)
 *     creating              the crash came first: what was made goes
 *     removing              is finished
 *     mounted, nobody holds is detached
 *     mounted, no record    is unmounted
 */
import { existsSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { isAtOrBelow, readMountinfo } from '../linux/mountinfo.ts';
import { PluginError } from '../sdk/errors.ts';
import { dropEnded, markOld } from './active-mounts.ts';
import type { CommonConfig } from './common-options.ts';
import type { Layout } from './layout.ts';
import { startBudget } from './mount-deadline.ts';
import { ensureUnmounted } from './mounting.ts';
import { processLives } from './process-holds.ts';
import type { VolumeRecord } from './records.ts';
import type { DriverVolumes } from './volume-driver.ts';

const unmountTimeoutMs = 3000;

export interface RestoreFacts {
  readonly newBoot: boolean;
  readonly now: Date;
  readonly layout: Layout;
  readonly log: Logger;
}

/** Returns the names of volumes that were held when the machine went down: their servers may not be up yet. */
export async function restoreVolumes<C extends CommonConfig>(
  volumes: DriverVolumes<C>,
  facts: RestoreFacts,
): Promise<readonly string[]> {
  const { newBoot, now, log } = facts;
  const { records, backend } = volumes;
  const wanted: string[] = [];
  try {
    records.transaction(() => {
      for (const record of records.all()) {
        if (newBoot && record.holds.length > 0) wanted.push(record.name);
        const holds = newBoot ? [] : dropEnded(markOld(record.holds, now), processLives);
        if (record.holds.length > 0) records.put({ ...record, holds });
      }
    });
  } catch (error) {
    // A full disk must not keep the volumes from those who have them: the holds stay as they were.
    if (!(error instanceof PluginError && error.code === 'STORE_FULL')) throw error;
    log.error({ err: error }, 'the disk is full: who holds what could not be written down anew');
  }
  const mounts = readMountinfo();
  const mounted = new Set(mountsOfDriver(volumes, facts.layout).map(({ name }) => name));
  for (const record of records.all()) {
    if (!parses(volumes, record, log)) continue;
    if (record.state === 'creating' || record.state === 'removing') {
      await volumes.queue.run(record.name, () => finish(volumes, record, log));
      continue;
    }
    const path = volumes.attachments.notice(record, mounts);
    if (path === undefined) continue;
    volumes.health.set(record.name, backend.ownsFileSystem(volumes.volume(record).config) ? 'mounted' : 'idle');
    if (record.holds.length === 0 && mounted.has(record.name)) void volumes.attachments.detachSoon(record.name);
  }
  backend.settle?.(mounts);
  await unmountStrangers(volumes, facts);
  reportUnknownData(volumes, facts);
  return wanted;
}

/** A record that a newer version wrote may have options that this one refuses: it is kept, and says so when it is used. */
function parses<C extends CommonConfig>(volumes: DriverVolumes<C>, record: VolumeRecord, log: Logger): boolean {
  try {
    volumes.volume(record);
    return true;
  } catch (error) {
    log.error({ volume: record.name, err: error }, 'the options in the record are not understood');
    return false;
  }
}

async function finish<C extends CommonConfig>(
  volumes: DriverVolumes<C>,
  record: VolumeRecord,
  log: Logger,
): Promise<void> {
  try {
    await volumes.finishRemoval(record);
    log.info({ volume: record.name, state: record.state }, 'cut short by a crash: cleaned up');
  } catch (error) {
    log.warn(
      { volume: record.name, state: record.state, err: error },
      'cut short by a crash, and could not be cleaned up yet',
    );
  }
}

/** What is mounted below the driver's folder, with the name of the volume that it should belong to. */
function mountsOfDriver<C extends CommonConfig>(
  { backend }: DriverVolumes<C>,
  layout: Layout,
): { readonly mountPoint: string; readonly name: string }[] {
  const folder = join(layout.mounts, backend.driver);
  return readMountinfo()
    .filter(({ mountPoint }) => isAtOrBelow(mountPoint, folder))
    .map(({ mountPoint }) => ({ mountPoint, name: mountPoint.slice(folder.length + 1).split('/')[0] ?? '' }));
}

/** Mount points of ours that belong to no record: a crash came between the two. */
async function unmountStrangers<C extends CommonConfig>(
  volumes: DriverVolumes<C>,
  { layout, log }: RestoreFacts,
): Promise<void> {
  const strangers = mountsOfDriver(volumes, layout).filter(({ name }) => volumes.records.get(name) === undefined);
  for (const { mountPoint } of strangers.reverse()) {
    await ensureUnmounted(mountPoint, 'plain', startBudget(unmountTimeoutMs)).then(
      () => log.info({ mountPoint }, 'unmounted: no volume knows it'),
      (error: unknown) =>
        log.warn({ mountPoint, err: error }, 'no volume knows this mount, and it cannot be unmounted'),
    );
  }
}

/** Never deleted: records may have been lost, and this is somebody's data. */
function reportUnknownData<C extends CommonConfig>(volumes: DriverVolumes<C>, { layout, log }: RestoreFacts): void {
  const folder = join(layout.stateDir, 'volumes', volumes.backend.driver);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (volumes.records.get(name) === undefined && !removeIfEmpty(join(folder, name))) {
      log.warn({ folder: join(folder, name) }, 'data without a record: kept, and not used');
    }
  }
}

/** What a crash in the middle of a create leaves. */
function removeIfEmpty(folder: string): boolean {
  try {
    if (existsSync(join(folder, '_data'))) rmdirSync(join(folder, '_data'));
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}
