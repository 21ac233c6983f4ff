/**
 * Settings of links under /sys/class/net that netlink does not have. What is mounted at /sys may be of another network namespace,
 * or read-only in a container: here they are reached by a mount of sysfs that is attached nowhere, which is of the calling
 * thread's network namespace. Linux 5.2.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { KernelError } from './errors.ts';
import { check, closeFd, libc } from './syscall.ts';

const SYS_fsopen = 430;
const SYS_fsconfig = 431;
const SYS_fsmount = 432;
/** <linux/mount.h> */
const FSOPEN_CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;

/** Those that matter here, by the kernel's names. */
export type LinkSetting =
  /** Nanoseconds for which segments of a stream wait for those behind them. Documentation/ABI/testing/sysfs-class-net */
  'gro_flush_timeout';

/** Writes what differs. Throws ENOENT when there is no such link or setting, EPERM without CAP_SYS_ADMIN, ENOSYS. */
export function ensureLinkSetting(link: string, setting: LinkSetting, value: number): void {
  const root = mountSysfs();
  try {
    const path = `/proc/thread-self/fd/${root}/class/net/${link}/${setting}`;
    if (readFileSync(path, 'utf8').trimEnd() !== String(value)) writeFileSync(path, String(value));
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).errno;
    if (errno === undefined || error instanceof KernelError) throw error;
    throw new KernelError({ errno: -errno, call: 'write', args: `sysfs ${link} ${setting}=${value}` });
  } finally {
    closeFd(root);
  }
}

/** The caller closes it, and the mount is gone. */
function mountSysfs(): number {
  const context = check(libc.fsopen(SYS_fsopen, 'sysfs', FSOPEN_CLOEXEC), 'fsopen', 'sysfs');
  try {
    check(libc.fsconfig(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, null, null, 0), 'fsconfig', 'sysfs');
    return check(libc.fsmount(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0), 'fsmount', 'sysfs');
  } finally {
    closeFd(context);
  }
}
