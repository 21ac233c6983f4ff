/**
 * Kernel settings under /proc/sys. Those under `net/` belong to a network namespace, and the kernel takes that of the thread
 * which looks the name up: here always the calling thread, because the calls are synchronous and inside a visit.
 *
 * Names are written with slashes (`net/ipv4/conf/eth0.10/forwarding`), since names of links may hold dots.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { KernelError } from './errors.ts';
import { inNetns, type Netns } from './netns.ts';

/** Without the line break. Throws ENOENT when the kernel has no such setting. */
export function readSysctl(name: string, netns?: Netns): string {
  return visit(netns, 'read', name, (path) => readFileSync(path, 'utf8').trimEnd());
}

/** undefined when the kernel has no such setting: IPv6 switched off at boot, a module that is not loaded. */
export function findSysctl(name: string, netns?: Netns): string | undefined {
  try {
    return readSysctl(name, netns);
  } catch (error) {
    if (error instanceof KernelError && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

export function writeSysctl(name: string, value: string | number, netns?: Netns): void {
  visit(netns, 'write', `${name}=${value}`, () => writeFileSync(settingPath(name), String(value)));
}

/** Writes only what differs (some hosts mount /proc/sys read-only with the right values); returns the value before a change. */
export function ensureSysctl(name: string, value: string | number, netns?: Netns): string | undefined {
  const before = readSysctl(name, netns);
  if (before === String(value)) return undefined;
  writeSysctl(name, value, netns);
  return before;
}

function visit<T>(netns: Netns | undefined, call: string, words: string, fn: (path: string) => T): T {
  const path = settingPath(words);
  try {
    return netns ? inNetns(netns, () => fn(path)) : fn(path);
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).errno;
    if (errno === undefined || error instanceof KernelError) throw error;
    throw new KernelError({ errno: -errno, call, args: `sysctl ${words}` });
  }
}

function settingPath(name: string): string {
  if (name.split('/').some((part) => part === '' || part === '.' || part === '..'))
    throw new TypeError(`"${name}" is no setting`);
  return `/proc/sys/${name}`;
}
