/** Ends monitors that are in the middle of making a container, with the runtime that they run: nobody waits for them any more. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly arguments: readonly string[];
}

/** Ids of the containers. Everything below the processes that make them goes, too. */
export function endMonitors(ids: ReadonlySet<string>): void {
  if (ids.size === 0) return;
  const processes = readProcesses();
  // conmon and the runtime's `create` alike; the latter goes on when its monitor alone is killed.
  const isMonitor = ({ arguments: given }: Process) =>
    given.includes('--bundle') && given.some((argument) => ids.has(basename(argument)));
  const doomed = new Set(processes.filter(isMonitor).map(({ pid }) => pid));
  for (let size = 0; size !== doomed.size; ) {
    size = doomed.size;
    for (const { pid, parent } of processes) if (doomed.has(parent)) doomed.add(pid);
  }
  // Monitors first, so that none starts another runtime meanwhile.
  for (const pid of doomed) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // it has just ended
    }
  }
}

function readProcesses(): Process[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^[0-9]+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      return [{ pid: Number(name), parent, arguments: readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0') }];
    } catch {
      return []; // it has just ended
    }
  });
}
