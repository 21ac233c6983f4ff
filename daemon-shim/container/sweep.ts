/** Before anything is restored: what an earlier shim left of containers that have no record, and of exec sessions. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findMountAt, readMountinfo } from '../../plugins/linux/mountinfo.ts';
import { removeTree } from '../../plugins/linux/remove-tree.ts';
import { check, libc, MNT_DETACH } from '../../plugins/linux/syscall.ts';
import type { Engine } from '../engine.ts';
import { endMonitors } from '../runtime/end-monitor.ts';
import { endLostHolders } from '../runtime/fifo-holder.ts';
import { removeExit } from '../runtime/monitor.ts';
import { containerFolder, exitFolder } from './folder.ts';

export async function sweepLeftovers(engine: Engine): Promise<void> {
  const { config, containers, log } = engine;
  rmSync(join(config.execRoot, 'execs'), { recursive: true, force: true });
  const folders = [join(config.dataRoot, 'containers'), join(config.execRoot, 'containers'), exitFolder(config)];
  const unknown = new Set(folders.flatMap(names).filter((id) => containers.find(id) === undefined));
  endMonitors(unknown);
  for (const id of unknown) {
    const { data, merged, bundle } = containerFolder(config, id);
    try {
      if (findMountAt(merged, readMountinfo()) !== undefined)
        check(libc.umount2(merged, MNT_DETACH), 'umount2', merged);
      await removeTree(data);
      rmSync(bundle, { recursive: true, force: true });
      removeExit(exitFolder(config), id);
      log.info({ container: id }, 'removed what was left of a container without a record');
    } catch (error) {
      log.error({ err: error, container: id }, 'removing what is left of a container without a record');
    }
  }
  endLostHolders(join(config.execRoot, 'containers'));
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^[0-9a-f]{64}$/.test(name));
  } catch {
    return []; // not made yet
  }
}
