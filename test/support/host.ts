/**
 * A host for tests: one process tree in network, mount, pid and uts namespaces of its own.
 *
 *     this process ── setpriv ── unshare ── bash host-init.sh (process 1 of the host)
 *                                             └─ everything that is started in the host
 *
 * The kernel ends the whole tree when process 1 ends, and process 1 ends when this process does, even by SIGKILL. The
 * namespaces have no names on disk, so nothing of a host outlives its test except its folder, which the next run removes.
 * From outside, files of the host are reached through /proc/PID/root (see `path`), its network through /proc/PID/ns/net.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CommandResult, runCommand } from '../../plugins/linux/command.ts';
import { removeCgroups } from './cgroup.ts';
import { deadline, patience } from './deadline.ts';
import { detachLoopDevices } from './loop-devices.ts';
import { childrenOf, type HostProcess, startProcess } from './process.ts';
import { cgroupParent, makeRunFolder } from './run-folder.ts';

export interface HostOptions {
  /** Shown in the host name; default "host". */
  readonly name?: string;
  /** Text of /etc/resolv.conf; default empty. Change it later by writing to `join(host.dir, 'resolv.conf')`. */
  readonly resolvConf?: string;
  /** Which iptables the host uses; default what the machine's alternatives say. */
  readonly iptables?: 'nft' | 'legacy';
}

export interface RunOptions {
  readonly timeoutMs?: number;
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Host {
  readonly name: string;
  /** Process 1, as this process sees it. `ip link set X netns PID` moves a link into the host. */
  readonly pid: number;
  /** Path of the network namespace, for `openNetns`, `nsenter --net=`, setns. */
  readonly netns: string;
  /** The host's folder on disk; the same path in the host, in its engine's root and outside. */
  readonly dir: string;
  /** Which iptables it was given, for the engine's root. */
  readonly iptables: 'nft' | 'legacy' | 'default';
  /** A path of the host (/run/docker.sock) as this process reaches it. */
  path(inside: string): string;
  /** Runs a command in the host to its end; throws CommandError with its stderr. Default deadline 30 s. */
  run(file: string, args: readonly string[], options?: RunOptions): Promise<CommandResult>;
  /** The same for a line of shell; returns the trimmed standard output. */
  sh(script: string, options?: RunOptions): Promise<string>;
  /** Starts a process that keeps running; it ends with the host at the latest. */
  start(
    file: string,
    args: readonly string[],
    options?: { readonly env?: Readonly<Record<string, string>> },
  ): HostProcess;
  /** Ends everything in the host and removes its folder. Safe to call twice. */
  close(): Promise<void>;
}

let counter = 0;

export async function createHost(options: HostOptions = {}): Promise<Host> {
  counter += 1;
  const name = `${options.name ?? 'host'}-${process.pid}-${counter}`;
  const dir = join(makeRunFolder(), `${counter}`);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'resolv.conf'), options.resolvConf ?? '');
  const init = fileURLToPath(new URL('./host-init.sh', import.meta.url));
  const namespaces = [
    '--net',
    '--mount',
    '--pid',
    '--uts',
    '--fork',
    '--kill-child',
    '--mount-proc',
    '--propagation=private',
  ];
  const holder = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', 'unshare', ...namespaces, 'bash', init, dir, name, options.iptables ?? 'default'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const exited = new Promise<void>((resolve) => holder.once('exit', () => resolve()));
  try {
    await ready(name, holder.stdout, holder.stderr, exited);
  } catch (error) {
    holder.kill('SIGKILL');
    throw error;
  }
  const pid = onlyChild(holder.pid as number);
  // Held by everything that runs in it, not by this process's event loop.
  holder.unref();
  holder.stdout.destroy();
  holder.stderr.destroy();

  const enter = ['-t', String(pid), '-n', '-m', '-p', '-u'];
  const run: Host['run'] = (file, args, runOptions = {}) =>
    runCommand('nsenter', [...enter, file, ...args], { timeoutMs: 30_000 * patience, ...runOptions });
  return {
    name,
    pid,
    netns: `/proc/${pid}/ns/net`,
    dir,
    iptables: options.iptables ?? 'default',
    path: (inside) => join(`/proc/${pid}/root`, inside),
    run,
    async sh(script, runOptions) {
      return (await run('bash', ['-euo', 'pipefail', '-c', script], runOptions)).stdout.trim();
    },
    start: (file, args, startOptions = {}) => startProcess(enter, file, args, startOptions.env ?? {}),
    async close() {
      holder.ref();
      // Process 1 and not unshare: unshare then ends once the kernel has ended and reaped the whole tree.
      try {
        process.kill(pid, 'SIGKILL');
      } catch {}
      await exited;
      detachLoopDevices((file) => file.startsWith(`${dir}/`));
      removeCgroups((group) => `/${group}` === cgroupParent(dir));
      rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}

/** Waits for process 1 to say that the mounts are in place. */
async function ready(
  name: string,
  stdout: NodeJS.ReadableStream,
  stderr: NodeJS.ReadableStream,
  exited: Promise<void>,
): Promise<void> {
  let errors = '';
  stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const said = new Promise<boolean>((resolve) => stdout.once('data', () => resolve(true)));
  const ok = await deadline(`host ${name} is set up`, 60_000, Promise.race([said, exited.then(() => false)]));
  if (!ok) throw new Error(`host ${name} could not be set up: ${errors.trim()}`);
}

function onlyChild(parent: number): number {
  const [child] = childrenOf(parent);
  if (child === undefined) throw new Error(`process ${parent} has no child: the host ended at once`);
  return child;
}
