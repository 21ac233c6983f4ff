/** Wires the volume drivers to records, kernel and sockets; `main.ts` and `cleat serve` run it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DaemonContext, Service } from '../sdk/daemon.ts';
import type { Plugin } from '../sdk/plugin.ts';
import { openStore } from '../store/store.ts';
import type { Backend, DriverName } from './backend.ts';
import { startBackground } from './background.ts';
import type { CommonConfig } from './common-options.ts';
import { readVolumedConfig } from './config.ts';
import { addControlRoutes } from './control.ts';
import { createLayout, type Layout } from './layout.ts';
import { LocalBackend } from './local/backend.ts';
import { maxTimeoutMs } from './mount-deadline.ts';
import { NfsBackend } from './nfs/backend.ts';
import { isNewBoot, openRecords, readBootId } from './records.ts';
import { restoreVolumes } from './restore.ts';
import { TmpfsBackend } from './tmpfs/backend.ts';
import { openTrash, type Trash } from './trash.ts';
import { DriverVolumes } from './volume-driver.ts';

export interface VolumeServiceOptions {
  /** Told of each step between which a crash leaves something half done: for tests that crash there. */
  readonly onStep?: (step: string) => void;
  /** Default: the kernel's. */
  readonly bootId?: string;
}

export async function startVolumeService(context: DaemonContext, options: VolumeServiceOptions = {}): Promise<Service> {
  const { stateDir, runDir, log } = context;
  const { drivers, scope, staleAfterMs } = readVolumedConfig(context.config);
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const layout = createLayout(stateDir, runDir);
  const store = openStore(join(stateDir, 'volumed.db'), { log });
  const trash = openTrash(layout.trash, log);
  const newBoot = isNewBoot(store, options.bootId ?? readBootId());
  const now = (): Date => new Date();

  const all = drivers.map((driver) => {
    const driverLog = log.child({ driver });
    return new DriverVolumes({
      backend: createBackend(driver, layout, trash),
      records: openRecords(store, driver),
      layout,
      trash,
      log: driverLog,
      scope: scope[driver] ?? 'local',
      now,
      staleAfterMs,
      onStep: options.onStep ?? (() => {}),
    });
  });
  const background = startBackground(all, staleAfterMs, log);
  for (const volumes of all) {
    const wanted = await restoreVolumes(volumes, { newBoot, now: now(), layout, log });
    if (volumes.backend.probe !== undefined) background.retryAtBoot(volumes, wanted);
  }
  trash.emptySoon();

  return {
    plugins: all.map(asPlugin),
    control: (app) => addControlRoutes(app, all),
    async stop() {
      background.stop();
      for (const volumes of all) await volumes.stop();
      await trash.idle();
      store.close();
    },
  };
}

function createBackend(driver: DriverName, layout: Layout, trash: Trash): Backend<CommonConfig> {
  switch (driver) {
    case 'cleat-local':
      return new LocalBackend(layout, trash);
    case 'cleat-tmpfs':
      return new TmpfsBackend(layout, trash);
    case 'cleat-nfs':
      return new NfsBackend(layout, trash);
  }
}

/** Docker waits 120 s for Create and Mount; each volume has its own, shorter deadline inside (mount-deadline.ts). */
function asPlugin(volumes: DriverVolumes<CommonConfig>): Plugin {
  const longest = maxTimeoutMs + 5000;
  return {
    name: volumes.backend.driver,
    volume: volumes,
    deadlinesMs: { 'VolumeDriver.Create': longest, 'VolumeDriver.Mount': longest },
  };
}
