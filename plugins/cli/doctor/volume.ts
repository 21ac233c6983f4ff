/** What the volume drivers need: file systems, helpers, quota. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Check, type Finding, ok, warn } from './check.ts';

export function volumeChecks(): Check[] {
  return [
    { driver: 'cleat-nfs', subject: 'nfs client', look: lookAtNfs },
    { driver: 'cleat-local', subject: 'size limits', look: lookAtImages },
  ];
}

function lookAtNfs(): Finding {
  const helper = findProgram('mount.nfs');
  const known = readFileSync('/proc/filesystems', 'utf8').includes('\tnfs');
  const modules = `/lib/modules/${readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()}`;
  if (helper === undefined) return warn('mount.nfs is missing', 'apt-get install nfs-common');
  if (known) return ok(`${helper}, and the kernel speaks NFS`);
  return existsSync(join(modules, 'kernel/fs/nfs'))
    ? warn('the NFS module is not loaded; the first mount loads it', 'modprobe nfs')
    : warn('the kernel has no NFS client', 'boot a kernel with CONFIG_NFS_FS');
}

function lookAtImages(): Finding {
  const makers = ['mkfs.ext4', 'mkfs.xfs'].filter((name) => findProgram(name) !== undefined);
  if (!existsSync('/dev/loop-control'))
    return warn('no loop devices: limits need project quota on the file system', 'modprobe loop');
  return makers.length > 0
    ? ok(`loop images with ${makers.join(', ')}`)
    : warn('no mkfs found', 'apt-get install e2fsprogs');
}

function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
