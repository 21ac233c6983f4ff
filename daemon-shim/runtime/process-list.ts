/** The processes of this host, from /proc; proc(5). */
import { readdirSync, readFileSync } from 'node:fs';

export interface ListedProcess {
  readonly pid: number;
  readonly parent: number;
  /** With the program's name; empty for a thread of the kernel. */
  readonly arguments: readonly string[];
}

export function readProcesses(): ListedProcess[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^[0-9]+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      const text = readFileSync(`/proc/${name}/cmdline`, 'utf8');
      return [{ pid: Number(name), parent, arguments: text.split('\0').slice(0, -1) }];
    } catch {
      return []; // it has just ended
    }
  });
}
