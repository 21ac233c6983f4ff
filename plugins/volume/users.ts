/** Who really uses a volume, as the mount tables of all processes show it: no engine is asked, and no engine can forget. */
import {
  describeProcess,
  findMountOf,
  isAtOrBelow,
  type MountEntry,
  type MountNamespace,
  readMountinfo,
  readMountNamespaces,
} from '../linux/mountinfo.ts';
import type { MountIdentity } from './records.ts';

export interface VolumeUser {
  readonly pid: number;
  readonly command: string;
  readonly containerId?: string;
  /** Where it has the volume, in its own mount namespace. */
  readonly mountPoint: string;
}

/** How the folder at `path` looks from any mount namespace. */
export function identify(path: string, mounts: readonly MountEntry[] = readMountinfo()): MountIdentity | undefined {
  const mount = findMountOf(path, mounts);
  if (mount === undefined) return undefined;
  const { device, root, source } = identityOf(mount);
  const inside = path.slice(mount.mountPoint === '/' ? 0 : mount.mountPoint.length);
  return { device, source, root: (root === '/' ? inside : root + inside) || '/' };
}

/**
 * What a mount shows. NFS says "/" for every root and puts the folder behind the server's name (fs/nfs/super.c,
 * nfs_show_path and nfs_show_devname); the name then says nothing that the device number does not.
 */
export function identityOf({ device, root, source, fsType }: MountEntry): MountIdentity {
  if (fsType !== 'nfs' && fsType !== 'nfs4') return { device, root, source };
  return { device, root: source.slice(source.indexOf(':/') + 1).replace(/(?<=.)\/$/, ''), source: fsType };
}

/**
 * Every use of the volume but our own mounts, which are those below `ownFolder`: a namespace that was copied from ours has
 * them at the same place, or below the folder that its old root was moved to.
 */
export function findUsers(
  identity: MountIdentity,
  ownFolder: string,
  namespaces: readonly MountNamespace[] = readMountNamespaces(),
): readonly VolumeUser[] {
  return namespaces.flatMap(({ pid, mounts }) =>
    mounts
      .filter((mount) => uses(mount, identity) && !mount.mountPoint.includes(`${ownFolder}/`))
      .map(({ mountPoint }) => ({ pid, mountPoint, ...describeProcess(pid) })),
  );
}

function uses(mount: MountEntry, wanted: MountIdentity): boolean {
  if (mount.device !== wanted.device) return false;
  const { root, source } = identityOf(mount);
  return source === wanted.source && isAtOrBelow(root, wanted.root);
}

/** `container 1f2e3d4c5b6a (sh) at /data`, or the process for one that is in no container. */
export function describeUser({ pid, command, containerId, mountPoint }: VolumeUser): string {
  const who =
    containerId === undefined ? `process ${pid} (${command})` : `container ${containerId.slice(0, 12)} (${command})`;
  return `${who} at ${mountPoint}`;
}
