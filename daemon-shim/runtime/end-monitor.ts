/** Ends monitors that are in the middle of making a container, with the runtime that they run: nobody waits for them any more. */
import { basename } from 'node:path';
import { type ListedProcess, readProcesses } from './process-list.ts';

/** Ids of the containers. Everything below the processes that make them goes, too. */
export function endMonitors(ids: ReadonlySet<string>): void {
  if (ids.size === 0) return;
  const processes = readProcesses();
  // conmon and the runtime's `create` alike; the latter goes on when its monitor alone is killed.
  const isMonitor = ({ arguments: given }: ListedProcess) =>
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
