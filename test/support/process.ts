/** A process that runs in a host: its output so far, signals to the real process behind `nsenter`, and its end. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { deadline, eventually } from './deadline.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface HostProcess {
  /** As this process sees it (the host's own number for it is another). */
  pid(): Promise<number>;
  /** Standard output and standard error so far, mixed. */
  output(): string;
  readonly exited: Promise<Exit>;
  running(): boolean;
  signal(name: NodeJS.Signals): Promise<void>;
  /** SIGTERM, and waits for the end; SIGKILL when that takes longer than the deadline, which is an error. */
  stop(timeoutMs?: number): Promise<Exit>;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<Exit>;
}

const maxOutput = 8 * 1024 * 1024;

/** `enter` are nsenter's flags for the namespaces. With a pid namespace among them, nsenter forks, and waits for the child. */
export function startProcess(
  enter: readonly string[],
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): HostProcess {
  const child = spawn('nsenter', [...enter, file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', ...env },
  });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-maxOutput);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let exit: Exit | undefined;
  // 'exit' and not 'close': grandchildren that live on may hold the pipes.
  const exited = new Promise<Exit>((resolve) => {
    const end = (code: number | null, signal: NodeJS.Signals | null): void => {
      exit = { code, signal };
      resolve(exit);
    };
    child.once('exit', end);
    child.once('error', (error) => {
      output += `${error.message}\n`;
      end(127, null);
    });
  });
  // A process that a failed test forgot must not keep the test process alive; whoever waits for its end refs it again.
  child.unref();
  for (const stream of [child.stdout, child.stderr]) (stream as unknown as Socket).unref();
  const ended = (): Promise<Exit> => {
    child.ref();
    return exited;
  };
  const realPid = () =>
    eventually(`${file} runs`, () => {
      if (exit) throw new Error(`${file} has ended: ${output.slice(-2000)}`);
      return childrenOf(child.pid as number)[0];
    });
  const signal = async (name: NodeJS.Signals): Promise<void> => {
    if (exit) return;
    const pid = await realPid().catch(() => undefined);
    if (pid === undefined || exit) return;
    try {
      process.kill(pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  const kill = async (): Promise<Exit> => {
    await signal('SIGKILL');
    return ended();
  };
  return {
    pid: realPid,
    output: () => output,
    get exited() {
      return ended();
    },
    running: () => exit === undefined,
    signal,
    async stop(timeoutMs = 30_000) {
      await signal('SIGTERM');
      try {
        return await deadline(`${file} ends after SIGTERM`, timeoutMs, ended());
      } catch (error) {
        await kill();
        throw error;
      }
    },
    kill,
  };
}

/** Processes whose parent is this one, from /proc/PID/stat: `pid (comm) state ppid ...`. */
export function childrenOf(parent: number): number[] {
  const found: number[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      // comm may hold spaces and brackets: the fields start after the last one.
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent) found.push(Number(entry));
    } catch {
      // Gone meanwhile.
    }
  }
  return found;
}
