/** Our own daemons, started in a host as its service manager would, with run, state and plugin folders of that host. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from './deadline.ts';
import type { Host } from './host.ts';
import type { Exit, HostProcess } from './process.ts';
import { cgroupParent } from './run-folder.ts';

export type DaemonName = 'networkd' | 'volumed' | 'logd' | 'shim';

export interface DaemonOptions {
  /** More flags; they come last. */
  readonly args?: readonly string[];
  /** Written to a file for --config. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Default debug. */
  readonly logLevel?: string;
  /** When it is ready; default: its log says so. */
  readonly ready?: (daemon: Daemon) => boolean | Promise<boolean>;
}

export interface Daemon {
  readonly host: Host;
  readonly name: DaemonName;
  /** /run/cleat in the host. */
  readonly runDir: string;
  /** Below the host's folder: the same path everywhere. */
  readonly stateDir: string;
  /** /run/docker/plugins in the host. */
  readonly pluginDir: string;
  /** The socket of a plugin, as this process reaches it. */
  socket(plugin: string): string;
  /** The `cleat` command with this daemon's --run-dir; returns its trimmed standard output. */
  cleat(...args: readonly string[]): Promise<string>;
  /** Everything it has logged, over restarts. */
  log(): string;
  pid(): Promise<number>;
  running(): boolean;
  /** SIGTERM; the exit it made. */
  stop(): Promise<Exit>;
  /** SIGKILL. */
  kill(): Promise<Exit>;
  signal(name: NodeJS.Signals): Promise<void>;
  /** After stop or kill. */
  start(): Promise<void>;
}

const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}`, import.meta.url));

export async function startDaemon(name: DaemonName, host: Host, options: DaemonOptions = {}): Promise<Daemon> {
  const folders = { runDir: '/run/cleat', stateDir: join(host.dir, 'state'), pluginDir: '/run/docker/plugins' };
  mkdirSync(folders.stateDir, { recursive: true });
  const config = join(host.dir, `${name}.json`);
  writeFileSync(config, JSON.stringify(options.config ?? {}));
  const common = ['--run-dir', folders.runDir, '--state-dir', folders.stateDir, '--plugin-dir', folders.pluginDir];
  // What its containers leave behind is then removed with the host.
  const own = name === 'shim' ? ['--cgroup-parent', cgroupParent(host.dir)] : [];
  const more = [...own, ...(options.args ?? [])];
  const flags = [...common, '--config', config, '--log-level', options.logLevel ?? 'debug', ...more];
  let process: HostProcess | undefined;
  let earlierLog = '';
  const current = (): HostProcess => {
    if (!process) throw new Error(`cleat-${name} was never started`);
    return process;
  };
  const daemon: Daemon = {
    host,
    name,
    ...folders,
    socket: (plugin) => host.path(`${folders.pluginDir}/${plugin}.sock`),
    async cleat(...args) {
      return (await host.run(bin('cleat'), [...args, '--run-dir', folders.runDir])).stdout.trim();
    },
    log: () => earlierLog + current().output(),
    pid: () => current().pid(),
    running: () => current().running(),
    stop: () => current().stop(),
    kill: () => current().kill(),
    signal: (signal) => current().signal(signal),
    async start() {
      if (process?.running()) throw new Error(`cleat-${name} is running already`);
      earlierLog += process?.output() ?? '';
      const started = host.start(bin(`cleat-${name}`), flags, options.env ? { env: options.env } : {});
      process = started;
      const ready = options.ready ?? (() => started.output().includes('"msg":"ready"'));
      await eventually(`cleat-${name} is ready`, async () => !started.running() || (await ready(daemon)), {
        everyMs: 10,
        timeoutMs: 60_000,
      });
      if (!started.running()) throw new Error(`cleat-${name} ended at once:\n${started.output()}`);
    },
  };
  await daemon.start();
  return daemon;
}
