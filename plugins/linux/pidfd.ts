/** Processes by descriptors, which stay theirs when the number is given to another one, and what such a process has open. */
import { check, libc } from './syscall.ts';

const SYS_pidfd_open = 434; // Linux 5.3
const SYS_pidfd_getfd = 438; // Linux 5.6

/** The caller closes it. Throws ESRCH. */
export function openPidfd(pid: number): number {
  return check(libc.pidfdOpen(SYS_pidfd_open, pid, 0), 'pidfd_open', String(pid));
}

/**
 * A descriptor of ours for what the other process has open as `fd`; the caller closes it. As for tracing it (ptrace(2)) one has to be
 * root, and a container needs CAP_SYS_PTRACE. Throws EPERM, EBADF, and ENOSYS before Linux 5.6.
 */
export function copyDescriptor(pidfd: number, fd: number): number {
  return check(libc.pidfdGetfd(SYS_pidfd_getfd, pidfd, fd, 0), 'pidfd_getfd', `fd=${fd}`);
}
