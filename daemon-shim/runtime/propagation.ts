/** Mount propagation of a container's root, as its bind mounts need it. Source: mount_namespaces(7); OCI runtime-spec, rootfsPropagation. */
import { realpathSync } from 'node:fs';
import { findMountOf, type MountEntry, readMountinfo } from '../../plugins/linux/mountinfo.ts';
import { ApiError } from '../api/api-error.ts';
import type { MountRecord } from '../container/record.ts';

/** Nothing when all mounts are private. Throws when the host's mount is not one that can be shared, as Docker does. */
export function rootPropagation(mounts: readonly MountRecord[]): { rootfsPropagation?: string } {
  const binds = mounts.filter((mount) => mount.type === 'bind');
  const shared = binds.filter(({ propagation }) => propagation === 'shared' || propagation === 'rshared');
  const slave = binds.filter(({ propagation }) => propagation === 'slave' || propagation === 'rslave');
  if (shared.length === 0 && slave.length === 0) return {};
  const table = readMountinfo();
  for (const { source } of shared) {
    const mount = mountOf(source, table);
    if (!isShared(mount)) throw notThat(source, mount, 'a shared mount');
  }
  for (const { source } of slave) {
    const mount = mountOf(source, table);
    if (!isShared(mount) && !isSlave(mount)) throw notThat(source, mount, 'a shared or slave mount');
  }
  return { rootfsPropagation: shared.length > 0 ? 'rshared' : 'rslave' };
}

function mountOf(source: string, table: readonly MountEntry[]): MountEntry | undefined {
  return findMountOf(realpathSync(source), table);
}

function isShared(mount: MountEntry | undefined): boolean {
  return mount?.propagation.some((field) => field.startsWith('shared:')) === true;
}

function isSlave(mount: MountEntry | undefined): boolean {
  return mount?.propagation.some((field) => field.startsWith('master:')) === true;
}

function notThat(source: string, mount: MountEntry | undefined, what: string): ApiError {
  return new ApiError(400, `path ${source} is mounted on ${mount?.mountPoint ?? '/'} but it is not ${what}`);
}
