/** `--pidfile`: written at the start, removed at the end, refused while the process that it names lives. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { ConfigError } from './config/option.ts';

/** Returns what removes it. Throws dockerd's own words when another process has it. */
export function writePidfile(path: string): () => void {
  const other = readPid(path);
  if (other !== undefined && other !== process.pid && isAlive(other)) {
    throw new ConfigError(`failed to start daemon: process with PID ${other} is still running (${path})`);
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(path, `${process.pid}\n`, { mode: 0o644 });
  return () => rmSync(path, { force: true });
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim());
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
