/** Loop devices belong to the machine and not to a namespace: those of a host's files are given back with the host. */
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';

/** Detaches every loop device whose backing file passes, also one that is deleted already. */
export function detachLoopDevices(matches: (backingFile: string) => boolean): void {
  for (const file of globSync('/sys/block/loop*/loop/backing_file')) {
    let backing: string;
    try {
      backing = readFileSync(file, 'utf8').trim();
    } catch {
      continue;
    }
    if (!matches(backing)) continue;
    spawnSync('losetup', ['--detach', `/dev/${basename(dirname(dirname(file)))}`], { timeout: 5000 });
  }
}
