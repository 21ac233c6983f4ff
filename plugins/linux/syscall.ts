/**
 * System calls of libc by koffi: thin typed bindings and the constants that go with them. The only file that loads libc.
 * A binding returns what the kernel returned; wrap it in `check()` at once, because errno lasts only until the next call.
 *
 * Traps: koffi knows no `ssize_t` (use `intptr_t`); `.async` variants run on a pool thread, so they must never touch what
 * belongs to a thread (setns, unshare), and errno of such a call is lost.
 */
import koffi from 'koffi';
import { KernelError } from './errors.ts';

const library = koffi.load('libc.so.6');

type Call<A extends unknown[]> = ((...args: A) => number) & {
  async(...args: [...A, (error: Error | null, result: number) => void]): void;
};

function bind<A extends unknown[]>(definition: string): Call<A> {
  return library.func(definition) as unknown as Call<A>;
}

/** A buffer that the kernel reads or fills; null is the null pointer. */
type Memory = Uint8Array | null;

export const libc = {
  // sockets
  socket: bind<[domain: number, type: number, protocol: number]>('int socket(int, int, int)'),
  bind: bind<[fd: number, address: Memory, length: number]>('int bind(int, const void *, uint32_t)'),
  connect: bind<[fd: number, address: Memory, length: number]>('int connect(int, const void *, uint32_t)'),
  listen: bind<[fd: number, backlog: number]>('int listen(int, int)'),
  sendto: bind<[fd: number, data: Memory, size: number, flags: number, address: Memory, length: number]>(
    'intptr_t sendto(int, const void *, size_t, int, const void *, uint32_t)',
  ),
  recv: bind<[fd: number, into: Memory, size: number, flags: number]>('intptr_t recv(int, void *, size_t, int)'),
  setsockopt: bind<[fd: number, level: number, name: number, value: Memory, length: number]>(
    'int setsockopt(int, int, int, const void *, uint32_t)',
  ),
  getsockopt: bind<[fd: number, level: number, name: number, value: Memory, length: Memory]>(
    'int getsockopt(int, int, int, void *, void *)',
  ),
  getsockname: bind<[fd: number, address: Memory, length: Memory]>('int getsockname(int, void *, void *)'),
  // descriptors
  open: bind<[path: string, flags: number, mode: number]>('int open(str, int, uint)'),
  close: bind<[fd: number]>('int close(int)'),
  memfd_create: bind<[name: string, flags: number]>('int memfd_create(str, uint)'),
  dup: bind<[fd: number]>('int dup(int)'),
  dup2: bind<[fd: number, as: number]>('int dup2(int, int)'),
  fcntl: bind<[fd: number, command: number, argument: number]>('int fcntl(int, int, long)'),
  ioctl: bind<[fd: number, request: number, argument: Memory]>('int ioctl(int, ulong, void *)'),
  /** The same for requests whose argument is a number and no pointer. */
  ioctlNumber: bind<[fd: number, request: number, argument: number]>('int ioctl(int, ulong, ulong)'),
  read: bind<[fd: number, into: Memory, size: number]>('intptr_t read(int, void *, size_t)'),
  write: bind<[fd: number, data: Memory, size: number]>('intptr_t write(int, const void *, size_t)'),
  /** No wrapper in glibc: the number of the call (437 on every architecture) is the first argument. */
  openat2: bind<[number: number, folder: number, path: string, how: Memory, size: number]>(
    'intptr_t syscall(intptr_t, int, str, const void *, size_t)',
  ),
  chroot: bind<[path: string]>('int chroot(str)'),
  mkfifo: bind<[path: string, mode: number]>('int mkfifo(str, uint)'),
  pipe2: bind<[pair: Int32Array, flags: number]>('int pipe2(void *, int)'),
  tee: bind<[from: number, to: number, size: number, flags: number]>('intptr_t tee(int, int, size_t, uint)'),
  splice: bind<[from: number, fromOffset: null, to: number, toOffset: null, size: number, flags: number]>(
    'intptr_t splice(int, void *, int, void *, size_t, uint)',
  ),
  // namespaces and processes
  setns: bind<[fd: number, type: number]>('int setns(int, int)'),
  unshare: bind<[flags: number]>('int unshare(int)'),
  prctl: bind<[option: number, a: number, b: number, c: number, d: number]>(
    'int prctl(int, ulong, ulong, ulong, ulong)',
  ),
  /** Returns an errno instead of setting it. The attributes and file actions are structures of glibc, see child.ts. */
  posix_spawnp: bind<
    [
      pid: Int32Array,
      file: string,
      actions: Memory,
      attributes: Memory,
      argv: readonly (string | null)[],
      envp: readonly (string | null)[],
    ]
  >('int posix_spawnp(void *, str, const void *, const void *, str *, str *)'),
  posix_spawnattr_init: bind<[attributes: Memory]>('int posix_spawnattr_init(void *)'),
  posix_spawnattr_setflags: bind<[attributes: Memory, flags: number]>('int posix_spawnattr_setflags(void *, short)'),
  posix_spawnattr_setsigdefault: bind<[attributes: Memory, signals: Memory]>(
    'int posix_spawnattr_setsigdefault(void *, const void *)',
  ),
  posix_spawnattr_setsigmask: bind<[attributes: Memory, signals: Memory]>(
    'int posix_spawnattr_setsigmask(void *, const void *)',
  ),
  posix_spawn_file_actions_init: bind<[actions: Memory]>('int posix_spawn_file_actions_init(void *)'),
  posix_spawn_file_actions_destroy: bind<[actions: Memory]>('int posix_spawn_file_actions_destroy(void *)'),
  posix_spawn_file_actions_adddup2: bind<[actions: Memory, fd: number, as: number]>(
    'int posix_spawn_file_actions_adddup2(void *, int, int)',
  ),
  posix_spawn_file_actions_addopen: bind<[actions: Memory, as: number, path: string, flags: number, mode: number]>(
    'int posix_spawn_file_actions_addopen(void *, int, str, int, uint)',
  ),
  posix_spawn_file_actions_addchdir: bind<[actions: Memory, path: string]>(
    'int posix_spawn_file_actions_addchdir_np(void *, str)',
  ),
  waitpid: bind<[pid: number, status: Int32Array, options: number]>('int waitpid(int, void *, int)'),
  /** glibc has a wrapper since 2.36 only: the number of the call (434 on every architecture) is the first argument. */
  pidfdOpen: bind<[number: number, pid: number, flags: number]>('intptr_t syscall(intptr_t, int, uint)'),
  /** The same, 438. */
  pidfdGetfd: bind<[number: number, pidfd: number, fd: number, flags: number]>(
    'intptr_t syscall(intptr_t, int, int, uint)',
  ),
  // mounts
  mount: bind<[source: string | null, target: string, type: string | null, flags: number, data: string | null]>(
    'int mount(str, str, str, ulong, str)',
  ),
  umount2: bind<[target: string, flags: number]>('int umount2(str, int)'),
  /** No wrappers in glibc before 2.36: the numbers of the calls (430, 431, 432 on every architecture) are the first arguments. */
  fsopen: bind<[number: number, type: string, flags: number]>('intptr_t syscall(intptr_t, str, uint)'),
  fsconfig: bind<[number: number, fd: number, command: number, key: null, value: null, aux: number]>(
    'intptr_t syscall(intptr_t, int, uint, void *, void *, int)',
  ),
  fsmount: bind<[number: number, fd: number, flags: number, attributes: number]>(
    'intptr_t syscall(intptr_t, int, uint, uint)',
  ),
  // files; paths are bytes that end with NUL
  mknod: bind<[path: Memory, mode: number, device: number]>('int mknod(const void *, uint, ulong)'),
  lsetxattr: bind<[path: Memory, name: string, value: Memory, size: number, flags: number]>(
    'int lsetxattr(const void *, str, const void *, size_t, int)',
  ),
  lgetxattr: bind<[path: Memory, name: string, into: Memory, size: number]>(
    'intptr_t lgetxattr(const void *, str, void *, size_t)',
  ),
  llistxattr: bind<[path: Memory, into: Memory, size: number]>('intptr_t llistxattr(const void *, void *, size_t)'),
  syncfs: bind<[fd: number]>('int syncfs(int)'),
  /** No wrapper in glibc: the number of the call (443 on every architecture) is the first argument. */
  quotactlFd: bind<[number: number, fd: number, command: number, id: number, data: Memory]>(
    'intptr_t syscall(intptr_t, int, uint, uint, void *)',
  ),
} as const;

/** Returns the result, or throws the KernelError that errno holds. Call it in the same expression as the system call. */
export function check(result: number, call: string, args = ''): number {
  if (result < 0) throw new KernelError({ errno: koffi.errno(), call, args });
  return result;
}

/** errno of the last synchronous call on this thread, positive. */
export function lastErrno(): number {
  return koffi.errno();
}

/** glibc's words for an errno, as programs and libraries print them in the C locale: `No such file or directory`. */
export const strerror = library.func('const char *strerror(int)') as unknown as (errno: number) => string;

export function closeFd(fd: number): void {
  check(libc.close(fd), 'close', `fd=${fd}`);
}

/** Poll handles in use: koffi stops one that is collected as garbage. */
const watched = new Set<object>();

/**
 * Calls back on the event loop whenever the descriptor is readable, or has an error, which reading must take off it. The caller keeps
 * owning the descriptor.
 */
export function watchReadable(fd: number, onReadable: () => void): { close(): void; unref(): void } {
  const wish = { readable: true };
  // koffi's types leave out the first argument.
  const onEvent = ((status: number) => {
    onReadable();
    // libuv ends a poll when the socket reports an error (ENOBUFS of netlink, ICMP's word about a connected peer): go on.
    if (status < 0 && watched.has(handle)) handle.start(wish, onEvent);
  }) as unknown as () => void;
  const handle = koffi.node.poll(fd, wish, onEvent);
  watched.add(handle);
  return {
    close() {
      if (watched.delete(handle)) handle.close();
    },
    unref: () => handle.unref(),
  };
}

// <sys/socket.h>, <netinet/in.h>
export const AF_UNSPEC = 0;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_BROADCAST = 6;
export const SO_RCVBUF = 8;
export const SO_RCVTIMEO = 20;
export const SO_BINDTODEVICE = 25;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_REUSEPORT = 15;
export const IPPROTO_IP = 0;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_SCTP = 132;
export const IPV6_V6ONLY = 26;
export const MSG_DONTWAIT = 0x40;
export const MSG_TRUNC = 0x20;
export const MSG_PEEK = 2;

// <fcntl.h>
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const MFD_CLOEXEC = 1;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_SETPIPE_SZ = 1031;
export const SPLICE_F_NONBLOCK = 2;

// <sched.h>
export const CLONE_NEWNS = 0x20000;
export const CLONE_NEWNET = 0x40000000;

// <sys/mount.h>
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_REMOUNT = 32;
export const MS_BIND = 4096;
export const MS_REC = 16384;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;
export const MNT_DETACH = 2;
