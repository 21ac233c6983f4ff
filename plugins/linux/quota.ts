/**
 * Project quota: a number on a folder that all files below it inherit, and limits on what that number owns. ext4 and XFS
 * have it where the file system is mounted with `prjquota`. <linux/fs.h>, <linux/quota.h>, <linux/dqblk_xfs.h>.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { isKernelError } from './errors.ts';
import { check, libc } from './syscall.ts';

export interface QuotaLimits {
  /** 0: no limit. */
  readonly bytes: number;
  readonly inodes: number;
}

export interface QuotaUsage {
  readonly usedBytes: number;
  readonly usedInodes: number;
  readonly limitBytes: number;
  readonly limitInodes: number;
}

const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const FS_XFLAG_PROJINHERIT = 0x200;
/** struct fsxattr: five 32-bit numbers and 8 bytes of padding; flags first, project fourth. */
const fsxattrSize = 28;
const fsxattrProject = 12;

const PRJQUOTA = 2;
const Q_GETQUOTA = 0x800007;
const Q_SETQUOTA = 0x800008;
const Q_XGETQSTAT = 0x5805;
const FS_QUOTA_PDQ_ENFD = 1 << 5;
const QIF_BLIMITS = 1;
const QIF_ILIMITS = 4;
/** struct if_dqblk: eight 64-bit numbers and one of 32. Block limits count 1 024 bytes, the used space counts bytes. */
const dqblkSize = 72;
const quotaBlock = 1024;

/** Whether limits of projects hold on the file system of this folder. */
export function enforcesProjectQuota(folder: string): boolean {
  return withFolder(folder, (fd) => {
    // struct fs_quota_stat: version in the first byte, flags in the 16 bits after the padding.
    const stat = Buffer.alloc(128);
    stat[0] = 1;
    try {
      quotactl(fd, Q_XGETQSTAT, 0, stat);
    } catch (error) {
      if (isKernelError(error, 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'ESRCH', 'ENOTTY', 'EPERM', 'ENOTBLK'))
        return false;
      throw error;
    }
    return (stat.readUInt16LE(2) & FS_QUOTA_PDQ_ENFD) !== 0;
  });
}

/** Puts the folder, and all that is made below it from now on, under the project. The folder should be empty. */
export function setProject(folder: string, projectId: number): void {
  withFolder(folder, (fd) => {
    const attributes = Buffer.alloc(fsxattrSize);
    check(libc.ioctl(fd, FS_IOC_FSGETXATTR, attributes), 'FS_IOC_FSGETXATTR', folder);
    attributes.writeUInt32LE(attributes.readUInt32LE(0) | FS_XFLAG_PROJINHERIT, 0);
    attributes.writeUInt32LE(projectId, fsxattrProject);
    check(libc.ioctl(fd, FS_IOC_FSSETXATTR, attributes), 'FS_IOC_FSSETXATTR', `${folder} project=${projectId}`);
  });
}

export function setProjectLimits(folder: string, projectId: number, { bytes, inodes }: QuotaLimits): void {
  withFolder(folder, (fd) => {
    const block = Buffer.alloc(dqblkSize);
    block.writeBigUInt64LE(BigInt(Math.ceil(bytes / quotaBlock)), 0);
    block.writeBigUInt64LE(BigInt(inodes), 24);
    block.writeUInt32LE(QIF_BLIMITS | QIF_ILIMITS, 64);
    quotactl(fd, Q_SETQUOTA, projectId, block);
  });
}

export function readProjectUsage(folder: string, projectId: number): QuotaUsage {
  return withFolder(folder, (fd) => {
    const block = Buffer.alloc(dqblkSize);
    try {
      quotactl(fd, Q_GETQUOTA, projectId, block);
    } catch (error) {
      // XFS has no record of a project that never owned anything.
      if (!isKernelError(error, 'ENOENT')) throw error;
    }
    const number = (offset: number): number => Number(block.readBigUInt64LE(offset));
    return {
      limitBytes: number(0) * quotaBlock,
      usedBytes: number(16),
      limitInodes: number(24),
      usedInodes: number(40),
    };
  });
}

/** quotactl_fd(2), Linux 5.14: names the file system by a descriptor, so no block device has to be looked for. */
function quotactl(fd: number, command: number, id: number, data: Uint8Array): void {
  const code = ((command << 8) | PRJQUOTA) >>> 0;
  check(libc.quotactlFd(443, fd, code, id, data), 'quotactl_fd', `command=0x${command.toString(16)} project=${id}`);
}

function withFolder<T>(folder: string, work: (fd: number) => T): T {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}
