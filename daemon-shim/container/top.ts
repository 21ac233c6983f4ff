/** `top`: the host's ps, cut down to the container's processes. */
import { CommandError, runCommand } from '../../plugins/linux/command.ts';
import { ApiError, badRequest, conflict } from '../api/api-error.ts';
import { cgroupFolder, processesIn } from '../runtime/cgroup.ts';
import type { Container } from './registry.ts';

const psTimeoutMs = 10_000;

export interface ProcessTable {
  readonly Titles: readonly string[];
  readonly Processes: readonly (readonly string[])[];
}

export async function listProcesses(container: Container, psArgs: string): Promise<ProcessTable> {
  if (container.state.status === 'restarting')
    throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  if (!container.isRunning) throw conflict(`container ${container.id} is not running`);
  const args = psArgs.split(' ').filter(Boolean);
  checkArguments(args);
  const folder = cgroupFolder(container.state.pid, 'pids') ?? cgroupFolder(container.state.pid, 'name=systemd');
  const pids = new Set(folder === undefined ? [container.state.pid] : processesIn(folder));
  let text: string;
  try {
    text = (await runCommand('ps', args, { timeoutMs: psTimeoutMs })).stdout;
  } catch (error) {
    const words = error instanceof CommandError ? error.stderr.trim() || error.message : String(error);
    throw new ApiError(500, `ps: ${words.split('\n')[0]}`, { cause: error });
  }
  return parseTable(text, pids);
}

/** ps prints columns under names of the caller's choosing: the one of the pid must be told apart. As Docker has it. */
function checkArguments(args: readonly string[]): void {
  for (const arg of args) {
    if (/\s+/.test(arg) || /(^|,)pid=/.test(arg.replace(/^-?o/, '')))
      throw badRequest(`specifying "${arg}" is not allowed`);
  }
}

/** The last column takes the rest of its line. */
export function parseTable(text: string, pids: ReadonlySet<number>): ProcessTable {
  const [head = '', ...lines] = text.split('\n');
  const titles = head.trim().split(/\s+/);
  const pidColumn = titles.indexOf('PID');
  if (pidColumn < 0) throw new ApiError(500, "Couldn't find PID field in ps output");
  const processes: string[][] = [];
  let previous = false;
  for (const line of lines) {
    if (line.trim() === '') continue;
    const fields = line.trim().split(/\s+/);
    // `ps m` lists threads below their process, with a hyphen for the pid.
    const ours: boolean = fields[pidColumn] === '-' ? previous : pids.has(Number(fields[pidColumn]));
    previous = ours;
    if (!ours) continue;
    const last = titles.length - 1;
    processes.push([...fields.slice(0, last), fields.slice(last).join(' ')]);
  }
  return { Titles: titles, Processes: processes };
}
