/**
 * Says by its exit code whether node_modules is what package-lock.json asks for: npm writes what it installed to
 * node_modules/.package-lock.json. Runs before any package is there, so it imports none.
 */
import { existsSync, readFileSync } from 'node:fs';

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
}

function packagesIn(file: string): Record<string, Locked> {
  const url = new URL(`../../${file}`, import.meta.url);
  if (!existsSync(url)) return {};
  return (JSON.parse(readFileSync(url, 'utf8')) as { packages?: Record<string, Locked> }).packages ?? {};
}

/** Optional packages are for one platform each; those for others stay away. */
function forThisPlatform(locked: Locked): boolean {
  const { os, cpu, libc } = locked;
  return (os?.includes('linux') ?? true) && (cpu?.includes(process.arch) ?? true) && (libc?.includes('glibc') ?? true);
}

const installed = packagesIn('node_modules/.package-lock.json');
const wanted = Object.entries(packagesIn('package-lock.json')).filter(([path]) => path !== '');
const differs = wanted.some(([path, locked]) => {
  const found = installed[path];
  if (!found) return locked.optional !== true || forThisPlatform(locked);
  return found.version !== locked.version || found.integrity !== locked.integrity;
});
process.exit(wanted.length === 0 || differs ? 1 : 0);
