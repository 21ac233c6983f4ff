/** Whether anybody lives in a network namespace, as far as this process sees the processes of the host. */
import { readdirSync, statSync } from 'node:fs';

/** false when no process that /proc shows is in it, or when there is no such namespace. Reads all of /proc: some milliseconds. */
export function netnsHasProcesses(path: string): boolean {
  let wanted: string;
  try {
    wanted = identity(path);
  } catch {
    return false;
  }
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return identity(`/proc/${name}/ns/net`) === wanted;
    } catch {
      // It ended while we looked.
      return false;
    }
  });
}

function identity(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
}
