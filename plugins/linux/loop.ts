/** Loop devices: files as block devices. mount(8) makes and frees them; this sets what it has no option for. <linux/loop.h>. */
import { closeSync, constants, openSync } from 'node:fs';
import { check, libc } from './syscall.ts';

const LOOP_SET_DIRECT_IO = 0x4c08;

/**
 * Takes the file's pages out of the way: without it everything is cached twice, once for the file system in the file and once
 * for the file. Throws KernelError EINVAL where the file's own file system cannot do it.
 */
export function useDirectIo(device: string): void {
  const fd = openSync(device, constants.O_RDONLY);
  try {
    check(libc.ioctlNumber(fd, LOOP_SET_DIRECT_IO, 1), 'LOOP_SET_DIRECT_IO', device);
  } finally {
    closeSync(fd);
  }
}
