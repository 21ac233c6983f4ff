/** The environment of a container's processes: Docker's defaults under what the image and the user say. */
import type { ContainerConfig } from './record.ts';

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function processEnvironment(config: ContainerConfig, hostname: string, home: string): string[] {
  const variables = new Map<string, string>([
    ['PATH', defaultPath],
    ['HOSTNAME', hostname],
  ]);
  if (config.Tty) variables.set('TERM', 'xterm');
  for (const entry of config.Env) {
    const at = entry.indexOf('=');
    // `-e NAME` without a value takes the name away from the image.
    if (at < 0) variables.delete(entry);
    else variables.set(entry.slice(0, at), entry.slice(at + 1));
  }
  if (!variables.has('HOME')) variables.set('HOME', home);
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

/** Variables of `over` win; the order of first appearance stays. A name without a value stays as it is: it takes one away. */
export function mergeEnvironment(base: readonly string[], over: readonly string[]): string[] {
  const merged = new Map<string, string>();
  for (const entry of [...base, ...over]) merged.set(entry.split('=', 1)[0] ?? '', entry);
  return [...merged.values()];
}

/** What a process is given: names without a value are gone. */
export function withoutRemoved(environment: readonly string[]): string[] {
  return environment.filter((entry) => entry.includes('='));
}
