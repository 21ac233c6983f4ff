/**
 * A real Docker engine in a host of its own: API socket /run/docker.sock, plugins in /run/docker/plugins, data in DIR/data.
 *
 *     '20.10'  Debian 12's docker.io, in the host's own mount namespace
 *     '28'     from the newer root (lab/setup/sid-root.ts), pivoted into a mount namespace below the host's:
 *              it shares /run and the host's folder with the host, so sockets, FIFOs, sandboxes and volumes meet
 *
 *   host (net, mount, pid, uts) ─┬─ cleat-networkd, cleat-volumed, …        (daemon.ts)
 *                                └─ root holder ── dockerd ── containerd ── containers
 */
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cachePath } from '../../lab/setup/cache.ts';
import { ensureImageArchive, type ImageName } from '../../lab/setup/images.ts';
import { ensureSidRoot, sidRoot } from '../../lab/setup/sid-root.ts';
import { type CommandResult, runCommand } from '../../plugins/linux/command.ts';
import { eventually } from './deadline.ts';
import { type ApiReply, callApi } from './engine-api.ts';
import { createHost, type Host, type RunOptions } from './host.ts';
import { type Exit, type HostProcess, startProcess } from './process.ts';
import { cgroupParent } from './run-folder.ts';

export const engineVersions = ['20.10', '28'] as const;
export type EngineVersion = (typeof engineVersions)[number];

/** What a file runs on whose subject differs little between engines: the newest, or with CLEAT_ENGINES=all each of them. */
export const usualEngines: readonly EngineVersion[] = process.env['CLEAT_ENGINES'] === 'all' ? engineVersions : ['28'];

export interface EngineOptions {
  readonly version: EngineVersion;
  /** Where it runs; default a fresh host, which `close` then ends. */
  readonly host?: Host;
  readonly liveRestore?: boolean;
  /** More dockerd flags. */
  readonly args?: readonly string[];
  /** Text of daemon.json. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Images to import at the first start; default busybox. */
  readonly images?: readonly ImageName[];
}

export interface Engine {
  readonly host: Host;
  readonly version: EngineVersion;
  /** The API socket as this process reaches it. */
  readonly socket: string;
  /** The stock docker command of this version; returns the trimmed standard output, throws CommandError with stderr. */
  docker(...args: readonly string[]): Promise<string>;
  /** The same with options: a longer deadline (default 60 s), input, environment. */
  dockerWith(options: RunOptions, ...args: readonly string[]): Promise<CommandResult>;
  /** Any other program of the place where the docker command is, with the same environment. */
  run(options: RunOptions, file: string, ...args: readonly string[]): Promise<CommandResult>;
  /** One call of the Engine API. */
  api(method: string, path: string, body?: Readonly<Record<string, unknown>>): Promise<ApiReply>;
  importImage(name: ImageName): Promise<void>;
  /** SIGTERM, as a service manager does; containers go too unless liveRestore. */
  stop(): Promise<void>;
  /** SIGKILL of dockerd alone: containerd and containers stay. */
  kill(): Promise<void>;
  /** Starts it again after stop or kill, with other flags if given. */
  start(options?: { readonly liveRestore?: boolean; readonly args?: readonly string[] }): Promise<void>;
  /** Stops it and loses everything it knew: networks, containers, images. */
  wipe(): Promise<void>;
  /** dockerd's log. */
  log(): string;
  /** dockerd's process, as this process sees it. */
  pid(): Promise<number>;
  /** Ends it with its host when the host was made for it. */
  close(): Promise<void>;
}

export async function startEngine(options: EngineOptions): Promise<Engine> {
  const host = options.host ?? (await createHost({ name: `engine${options.version.replace('.', '')}` }));
  const owned = options.host === undefined;
  try {
    return await startIn(host, owned, options);
  } catch (error) {
    if (owned) await host.close();
    throw error;
  }
}

async function startIn(host: Host, owned: boolean, options: EngineOptions): Promise<Engine> {
  const { version } = options;
  const socket = host.path('/run/docker.sock');
  const enter = ['-t', String(version === '28' ? await enterNewerRoot(host) : host.pid), '-n', '-m', '-p', '-u'];
  const config = join(host.dir, 'daemon.json');
  writeFileSync(config, JSON.stringify(options.config ?? {}));
  mkdirSync(join(host.dir, 'docker/cli-plugins'), { recursive: true });
  // Debian 12 has no compose 2; the newer root's runs here too, as it is hardly linked to anything.
  const compose = join(cachePath(sidRoot), 'usr/libexec/docker/cli-plugins/docker-compose');
  if (version === '20.10' && existsSync(compose)) addLink(compose, join(host.dir, 'docker/cli-plugins/docker-compose'));
  const env = { DOCKER_HOST: 'unix:///run/docker.sock', DOCKER_CONFIG: join(host.dir, 'docker') };
  let process: HostProcess | undefined;
  let earlierLog = '';

  const start = async (liveRestore: boolean, args: readonly string[]): Promise<void> => {
    if (process?.running()) throw new Error('the engine is running already');
    earlierLog += process?.output() ?? '';
    const files = ['--data-root', join(host.dir, 'data'), '--config-file', config, '--pidfile', '/run/docker.pid'];
    const flags = [
      ...files,
      '--cgroup-parent',
      cgroupParent(host.dir),
      '-H',
      'unix:///run/docker.sock',
      ...(liveRestore ? ['--live-restore'] : []),
      ...args,
    ];
    const started = startProcess(enter, 'dockerd', flags, {});
    process = started;
    const answers = async (): Promise<boolean> =>
      !started.running() || (await callApi(socket, 'GET', '/_ping')).status === 200;
    await eventually(`engine ${version} answers`, answers, { timeoutMs: 60_000, everyMs: 20 });
    if (!started.running()) throw new Error(`dockerd ${version} ended at once:\n${tail(started.output())}`);
  };
  const end = async (how: (running: HostProcess) => Promise<Exit>): Promise<void> => {
    if (process?.running()) await how(process);
  };
  const run: Engine['run'] = (runOptions, file, ...args) =>
    runCommand('nsenter', [...enter, file, ...args], {
      timeoutMs: 60_000,
      ...runOptions,
      env: { ...env, ...runOptions.env },
    });
  const dockerWith: Engine['dockerWith'] = (runOptions, ...args) => run(runOptions, 'docker', ...args);
  const engine: Engine = {
    host,
    version,
    socket,
    docker: async (...args) => (await dockerWith({}, ...args)).stdout.trim(),
    dockerWith,
    run,
    api: (method, path, body) => callApi(socket, method, path, body),
    async importImage(name) {
      const query = `fromSrc=-&repo=${name}&tag=latest&changes=${encodeURIComponent('CMD ["sh"]')}`;
      const reply = await callApi(socket, 'POST', `/images/create?${query}`, { file: ensureImageArchive(name) });
      if (reply.status !== 200 || JSON.stringify(reply.body).includes('errorDetail')) {
        throw new Error(`image ${name} could not be imported: ${JSON.stringify(reply.body)}`);
      }
    },
    stop: () => end((running) => running.stop(60_000)),
    kill: () => end((running) => running.kill()),
    start: (again = {}) => start(again.liveRestore ?? options.liveRestore ?? false, again.args ?? options.args ?? []),
    async wipe() {
      await engine.stop();
      rmSync(join(host.dir, 'data'), { recursive: true, force: true });
    },
    log: () => earlierLog + (process?.output() ?? ''),
    async pid() {
      if (!process) throw new Error('the engine was never started');
      return process.pid();
    },
    close: () => (owned ? host.close() : engine.stop()),
  };
  await engine.start();
  for (const image of options.images ?? ['busybox']) await engine.importImage(image);
  return engine;
}

/** The process that holds the newer root; one for each host. */
const rootHolders = new WeakMap<Host, Promise<number>>();

function enterNewerRoot(host: Host): Promise<number> {
  const known = rootHolders.get(host);
  if (known) return known;
  const script = fileURLToPath(new URL('./engine-root.sh', import.meta.url));
  // "unchanged" keeps /run and the host's folder in the host's peer groups: mounts made on one side show on the other.
  const holder = host.start('unshare', [
    '--mount',
    '--propagation=unchanged',
    'bash',
    script,
    ensureSidRoot(),
    host.dir,
    host.iptables,
  ]);
  const pid = eventually(
    "the engine's root is set up",
    () => holder.output().includes('ready\n') || !holder.running(),
  ).then(() => {
    if (!holder.running()) throw new Error(`the engine's root could not be set up: ${holder.output()}`);
    return holder.pid();
  });
  rootHolders.set(host, pid);
  return pid;
}

function addLink(target: string, path: string): void {
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

function tail(text: string): string {
  return text.trim().split('\n').slice(-15).join('\n');
}
