/**
 * Opens a path inside a folder as if the folder were the root: links, absolute or with `..`, never lead out of it, whatever
 * somebody inside changes meanwhile. openat2(2), RESOLVE_IN_ROOT; Linux 5.6.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { check, libc } from './syscall.ts';

const SYS_openat2 = 437;
const RESOLVE_IN_ROOT = 0x10; // <linux/openat2.h>
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;
const howBytes = 24;

/** A descriptor that only names the place (O_PATH); the caller closes it. Throws KernelError. */
export function openInRoot(root: string, path: string, options: { readonly followLast: boolean }): number {
  const how = Buffer.alloc(howBytes);
  const flags = O_PATH | O_CLOEXEC | (options.followLast ? 0 : constants.O_NOFOLLOW);
  how.writeBigUInt64LE(BigInt(flags), 0);
  how.writeBigUInt64LE(BigInt(RESOLVE_IN_ROOT), 16);
  const folder = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return check(libc.openat2(SYS_openat2, folder, path, how, howBytes), 'openat2', path);
  } finally {
    closeSync(folder);
  }
}
