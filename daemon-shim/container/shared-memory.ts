/**
 * /dev/shm that several containers see: `--ipc shareable` has its own tmpfs on the host, `--ipc container:X` uses X's, and
 * `--ipc host` the host's.
 *
 *     DATA_ROOT/containers/ID/shm     a tmpfs while a shareable container runs
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findMountAt, readMountinfo } from '../../plugins/linux/mountinfo.ts';
import { check, libc } from '../../plugins/linux/syscall.ts';
import { conflict } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { defaultShmBytes } from '../runtime/default-mounts.ts';
import { containerOfMode } from '../runtime/namespaces.ts';
import { containerFolder } from './folder.ts';
import type { Container } from './registry.ts';

const MNT_DETACH = 2; // <sys/mount.h>
const shmFlags = 2 | 4 | 8; // MS_NOSUID | MS_NODEV | MS_NOEXEC

/** The host's folder to bind; undefined: the container makes its own. Undone by unmountSharedMemory. */
export function mountSharedMemory(engine: Engine, container: Container): string | undefined {
  const { IpcMode, ShmSize } = container.record.hostConfig;
  if (IpcMode === 'host') return '/dev/shm';
  const donor = containerOfMode(IpcMode);
  if (donor !== undefined) return donorsFolder(engine, donor);
  if (IpcMode !== 'shareable') return undefined;
  const folder = shmFolder(engine, container.id);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (findMountAt(folder, readMountinfo()) === undefined) {
    const options = `mode=1777,size=${ShmSize || defaultShmBytes}`;
    check(libc.mount('shm', folder, 'tmpfs', shmFlags, options), 'mount', folder);
  }
  return folder;
}

/** Success when nothing is mounted. */
export function unmountSharedMemory(engine: Engine, container: Container): void {
  if (container.record.hostConfig.IpcMode !== 'shareable') return;
  const folder = shmFolder(engine, container.id);
  if (findMountAt(folder, readMountinfo()) !== undefined) check(libc.umount2(folder, MNT_DETACH), 'umount2', folder);
}

function donorsFolder(engine: Engine, id: string): string {
  const donor = engine.containers.get(id);
  if (!donor.isRunning) throw conflict(`can't join IPC of container ${id}: container is not running`);
  const { IpcMode } = donor.record.hostConfig;
  if (IpcMode === 'host') return '/dev/shm';
  const further = containerOfMode(IpcMode);
  if (further !== undefined) return donorsFolder(engine, further);
  if (IpcMode === 'shareable') return shmFolder(engine, id);
  throw conflict(
    `can't join IPC of container ${id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
  );
}

function shmFolder(engine: Engine, id: string): string {
  return join(containerFolder(engine.config, id).data, 'shm');
}
