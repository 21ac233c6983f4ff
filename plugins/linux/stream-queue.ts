/** What a stream socket still holds back: bytes that the peer's kernel has not acknowledged. tcp(7), unix(7): SIOCOUTQ */
import { libc } from './syscall.ts';

const SIOCOUTQ = 0x5411;
const count = Buffer.alloc(4);

/** 0 when the socket is gone. */
export function unacknowledgedBytes(fd: number): number {
  if (fd < 0) return 0;
  count.writeInt32LE(0);
  return libc.ioctl(fd, SIOCOUTQ, count) < 0 ? 0 : count.readInt32LE();
}
