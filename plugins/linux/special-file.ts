/**
 * What node:fs has no call for: device nodes and FIFOs by mknod(2), extended attributes, syncfs(2). Paths are strings or
 * bytes; symbolic links are never followed at the end of a path.
 */
import { closeSync, openSync } from 'node:fs';
import { KernelError } from './errors.ts';
import { check, lastErrno, libc } from './syscall.ts';

/** `mode` with its S_IFCHR, S_IFBLK or S_IFIFO. The process's umask applies. */
export function makeNode(path: string | Buffer, mode: number, major: number, minor: number): void {
  check(libc.mknod(cPath(path), mode, Number(deviceNumber(major, minor))), 'mknod', String(path));
}

export function setXattr(path: string | Buffer, name: string, value: Uint8Array): void {
  check(libc.lsetxattr(cPath(path), name, value, value.length, 0), 'lsetxattr', `${name} ${path}`);
}

/** Names of the attributes; none where the file system has none. */
export function listXattrs(path: string | Buffer): string[] {
  const size = libc.llistxattr(cPath(path), null, 0);
  if (size === 0 || (size < 0 && hasNone(lastErrno()))) return [];
  const names = Buffer.alloc(check(size, 'llistxattr', String(path)));
  const length = check(libc.llistxattr(cPath(path), names, names.length), 'llistxattr', String(path));
  return names.toString('utf8', 0, length).split('\0').filter(Boolean);
}

/** Undefined when the file has no such attribute. */
export function getXattr(path: string | Buffer, name: string): Buffer | undefined {
  const size = libc.lgetxattr(cPath(path), name, null, 0);
  if (size < 0 && hasNone(lastErrno())) return undefined;
  const value = Buffer.alloc(check(size, 'lgetxattr', `${name} ${path}`));
  if (value.length === 0) return value;
  return value.subarray(
    0,
    check(libc.lgetxattr(cPath(path), name, value, value.length), 'lgetxattr', `${name} ${path}`),
  );
}

/** Everything written to the file system that holds `folder` is on disk when this resolves. The event loop goes on. */
export function syncFileSystem(folder: string): Promise<void> {
  const fd = openSync(folder, 'r');
  return new Promise<void>((resolve, reject) => {
    libc.syncfs.async(fd, (error, result) => {
      if (error !== null) reject(error);
      else if (result < 0) reject(new KernelError({ errno: 5, call: 'syncfs', args: folder }));
      else resolve();
    });
  }).finally(() => closeSync(fd));
}

/** gnu_dev_makedev(3). */
function deviceNumber(major: number, minor: number): bigint {
  const [maj, min] = [BigInt(major), BigInt(minor)];
  return (min & 0xffn) | ((maj & 0xfffn) << 8n) | ((min & ~0xffn) << 12n) | ((maj & ~0xfffn) << 32n);
}

function cPath(path: string | Buffer): Buffer {
  return Buffer.concat([typeof path === 'string' ? Buffer.from(path) : path, Buffer.of(0)]);
}

/** ENODATA: no such attribute. EOPNOTSUPP: the file system has none at all. */
function hasNone(errno: number): boolean {
  return errno === 61 || errno === 95;
}
