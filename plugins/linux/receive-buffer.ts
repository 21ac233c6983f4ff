/**
 * The receive buffer of a UDP socket that another process has: for programs that take the kernel's default, which holds some
 * 90 packets, and have no setting for it.
 */
import { type BoundSocket, findSocketOwner } from './bound-sockets.ts';
import { KernelError } from './errors.ts';
import { copyDescriptor, openPidfd } from './pidfd.ts';
import { check, closeFd, libc, SO_RCVBUFFORCE, SOL_SOCKET } from './syscall.ts';

/** `bytes` as in setsockopt(2): the kernel doubles it, for its own part of each packet. Throws ESRCH when nobody is seen who has it, and what copyDescriptor does. */
export function setReceiveBuffer(socket: BoundSocket, bytes: number): void {
  const owner = findSocketOwner(socket);
  if (!owner) throw new KernelError({ errno: 3, call: 'readlink', args: `/proc/*/fd socket:[${socket.inode}]` });
  const pidfd = openPidfd(owner.pid);
  try {
    const fd = copyDescriptor(pidfd, owner.fd);
    try {
      const value = new Uint8Array(Uint32Array.of(bytes).buffer);
      check(libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, value, 4), 'setsockopt', 'SO_RCVBUFFORCE');
    } finally {
      closeFd(fd);
    }
  } finally {
    closeFd(pidfd);
  }
}
