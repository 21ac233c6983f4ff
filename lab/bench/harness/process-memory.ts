/** Memory of processes on a host, as PSS: a page that several share is counted once in all, so that sums are true. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Everything that runs in the same pid namespace as this process, containers' processes therefore not among it. */
export function processesBeside(pid: number): number[] {
  const namespace = namespaceOf(pid);
  if (namespace === undefined) throw new Error(`process ${pid} is gone`);
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((other) => namespaceOf(other) === namespace);
}

/** Pss of /proc/PID/smaps_rollup (kB of 1024 bytes), in MB of 10^6 bytes; processes that have ended count nothing. */
export function pssMb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + fieldKb(`/proc/${pid}/smaps_rollup`, 'Pss') * 1024, 0) / 1e6;
}

/** VmRSS: what the process would need if it shared nothing. */
export function residentMb(pid: number): number {
  return (fieldKb(`/proc/${pid}/status`, 'VmRSS') * 1024) / 1e6;
}

export function programOf(pid: number): string {
  return readText(`/proc/${pid}/comm`).trim();
}

function fieldKb(file: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readText(file))?.[1] ?? 0);
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined;
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
