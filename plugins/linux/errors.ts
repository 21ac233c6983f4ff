/**
 * The error that this layer throws when the kernel refuses something. It says what was asked and what the kernel answered;
 * the meaning for a user (which option, what to do) is added by the driver that knows it.
 */
import { getSystemErrorMap } from 'node:util';

/** Errno names that libuv's table lacks. <asm-generic/errno.h>; 524 is the kernel-internal ENOTSUPP of <linux/errno.h>. */
const linuxErrnoNames: ReadonlyMap<number, string> = new Map([
  [15, 'ENOTBLK'],
  [35, 'EDEADLK'],
  [37, 'ENOLCK'],
  [39, 'ENOTEMPTY'],
  [42, 'ENOMSG'],
  [61, 'ENODATA'],
  [62, 'ETIME'],
  [76, 'ENOTUNIQ'],
  [93, 'EPROTONOSUPPORT'],
  [102, 'ENETRESET'],
  [116, 'ESTALE'],
  [117, 'EUCLEAN'],
  [122, 'EDQUOT'],
  [123, 'ENOMEDIUM'],
  [126, 'ENOKEY'],
  [524, 'ENOTSUPP'],
]);

/** `ENOENT` for 2; `errno 4000` for a number that has no name. */
export function errnoName(errno: number): string {
  // libuv calls EOPNOTSUPP (95) ENOTSUP, its POSIX synonym; the kernel's documents say EOPNOTSUPP.
  if (errno === 95) return 'EOPNOTSUPP';
  return getSystemErrorMap().get(-errno)?.[0] ?? linuxErrnoNames.get(errno) ?? `errno ${errno}`;
}

export interface KernelErrorFields {
  readonly errno: number;
  /** The system call or netlink message: `setns`, `RTM_NEWLINK`. */
  readonly call: string;
  /** What it was called with, as a reader would type it: `macvlan parent=eth0`. */
  readonly args?: string;
  /** The kernel's own words, where it gave any (netlink extended acknowledgement). */
  readonly detail?: string;
}

/** `EBUSY from RTM_NEWLINK macvlan parent=eth0: <kernel's own text>`. Match on `code`. */
export class KernelError extends Error {
  override readonly name: string = 'KernelError';
  /** Errno name: `EBUSY`. */
  readonly code: string;
  /** Errno number, positive. */
  readonly errno: number;
  readonly call: string;
  readonly args: string;
  readonly detail: string | undefined;

  constructor({ errno, call, args = '', detail }: KernelErrorFields) {
    super(`${errnoName(errno)} from ${call}${args && ` ${args}`}${detail ? `: ${detail}` : ''}`);
    this.code = errnoName(errno);
    this.errno = errno;
    this.call = call;
    this.args = args;
    this.detail = detail;
  }
}

/** Whether the error is the kernel's answer with one of these errno names. */
export function isKernelError(error: unknown, ...codes: readonly string[]): error is KernelError {
  return error instanceof KernelError && (codes.length === 0 || codes.includes(error.code));
}
