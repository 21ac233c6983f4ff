/**
 * The shim as a service: makes the engine out of its configuration, brings records and kernel together, listens. Runs alone
 * (main.ts) or beside the plugin daemons in one process (`cleat serve`).
 *
 *     RUN_DIR/docker.sock   the Engine API            DATA_ROOT/shim.db   records, held exclusively
 *     RUN_DIR/shim.sock     control socket            EXEC_ROOT/          whatever ends with the machine's run
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { DaemonContext, Service } from '../plugins/sdk/daemon.ts';
import { defaultDirectories, type Listening } from '../plugins/sdk/index.ts';
import { openStore } from '../plugins/store/store.ts';
import { listenOnHosts } from './api/listen.ts';
import { defaultCgroupParent, type ShimConfig } from './config/config.ts';
import { loadConfig } from './config/load.ts';
import { ConfigError } from './config/option.ts';
import { reloadConfig } from './config/reload.ts';
import { letGoOfContainers } from './container/let-go.ts';
import { ContainerRegistry } from './container/registry.ts';
import { restoreContainers } from './container/restore.ts';
import { stopAllContainers } from './container/stop-all.ts';
import { watchContainerExits } from './container/watch-exits.ts';
import { controlRoutes } from './control.ts';
import type { Engine } from './engine.ts';
import { EventLog } from './events.ts';
import { ImageStore } from './image/image-store.ts';
import { dropKeptImages } from './image/kept-images.ts';
import { ensurePredefined } from './network/predefined.ts';
import { NetworkRegistry } from './network/registry.ts';
import { restoreNetworks } from './network/restore.ts';
import { writePidfile } from './pidfile.ts';
import { Plugins } from './plugin/plugins.ts';
import { removeEmptyGroup } from './runtime/cgroup.ts';
import { findRuntimes, type OciRuntime } from './runtime/oci-runtime.ts';
import { VolumeRegistry } from './volume/registry.ts';
import { restoreVolumes } from './volume/restore.ts';

/** Beside other daemons: the flags that they share; the rest is in /etc/cleat/shim.json. */
export function startShimService(context: DaemonContext): Promise<Service> {
  const { runDir, stateDir, pluginDir } = context;
  return startShim(context, ['--run-dir', runDir, '--state-dir', stateDir, '--plugin-dir', pluginDir]);
}

/** Throws ConfigError. Everything that was made is taken down again when a step fails. */
export async function startShim(context: DaemonContext, argv: readonly string[]): Promise<Service> {
  const { config, warnings } = loadConfig(argv);
  const { log } = context;
  for (const warning of warnings) log.warn(warning);
  const undo: (() => unknown)[] = [];
  const takeDown = async () => {
    for (const step of undo.reverse()) await step();
  };
  try {
    const engine = makeEngine(config, context, undo);
    engine.images.layers.removeLeftovers();
    dropKeptImages(engine);
    engine.images.collect();
    const watcher = watchContainerExits(engine);
    undo.push(() => watcher.close());
    undo.push(() => letGoOfContainers(engine));
    const stopping = new AbortController();
    undo.push(() => stopping.abort());
    restoreNetworks(engine);
    restoreVolumes(engine);
    void ensurePredefined(engine, stopping.signal);
    await restoreContainers(engine);
    const listening = await listenOnHosts(engine);
    log.info({ hosts: config.hosts, dataRoot: config.dataRoot }, 'the Engine API answers');
    return {
      plugins: [],
      control: (app) => controlRoutes(app, engine),
      reload: async () => reload(engine, argv),
      stop: async () => {
        engine.events.end();
        await closeHosts(listening);
        if (!engine.config.liveRestore) await stopAllContainers(engine);
        await takeDown();
        removeEmptyGroup(defaultCgroupParent);
      },
    };
  } catch (error) {
    await takeDown();
    throw error;
  }
}

function makeEngine(given: ShimConfig, context: DaemonContext, undo: (() => unknown)[]): Engine {
  if (given.pidfile !== undefined) undo.push(writePidfile(given.pidfile));
  mkdirSync(given.dataRoot, { recursive: true, mode: 0o710 });
  mkdirSync(given.execRoot, { recursive: true, mode: 0o710 });
  const store = openStore(join(given.dataRoot, 'shim.db'), { log: context.log });
  undo.push(() => store.close());
  const runtimes = usableRuntimes(given, context.log);
  const config = { ...given, defaultRuntime: chooseDefault(runtimes, given.defaultRuntime) };
  const plugins = new Plugins({ ...defaultDirectories, socketDir: config.pluginDir });
  undo.push(() => plugins.close());
  return {
    config,
    log: context.log,
    store,
    containers: new ContainerRegistry(store),
    images: new ImageStore(store, config.dataRoot),
    events: new EventLog(),
    networks: new NetworkRegistry(store),
    volumes: new VolumeRegistry(store),
    plugins,
    runtimes,
  };
}

/** One of the configuration whose program is not there is left out, as dockerd does: others may be in use. */
function usableRuntimes(config: ShimConfig, log: Logger): Map<string, OciRuntime> {
  const folder = join(config.execRoot, 'runtimes');
  const usable = Object.entries(config.runtimes).filter(([name, entry]) => {
    try {
      findRuntimes(folder, { [name]: entry });
      return true;
    } catch (error) {
      log.warn({ err: error, runtime: name }, 'a runtime of the configuration cannot be used');
      return false;
    }
  });
  return findRuntimes(folder, Object.fromEntries(usable));
}

function chooseDefault(runtimes: ReadonlyMap<string, OciRuntime>, wanted: string): string {
  const name = wanted || [...runtimes.keys()][0];
  if (name === undefined)
    throw new ConfigError('no OCI runtime is installed: install runc or crun, or name one with --add-runtime');
  if (!runtimes.has(name)) throw new ConfigError(`specified default runtime '${name}' does not exist`);
  return name;
}

function reload(engine: Engine, argv: readonly string[]): void {
  const read = loadConfig(argv).config;
  const runtimes = usableRuntimes(read, engine.log);
  const defaultRuntime = chooseDefault(runtimes, read.defaultRuntime);
  const { config, changed, later } = reloadConfig(engine.config, { ...read, defaultRuntime });
  engine.config = config;
  engine.runtimes = runtimes;
  engine.log.level = config.debug ? 'debug' : config.logLevel;
  engine.log.info(
    { changed, ...(later.length > 0 ? { later } : {}) },
    'configuration reloaded; "later" waits for a restart',
  );
}

async function closeHosts(listening: readonly Listening[]): Promise<void> {
  await Promise.allSettled(listening.map((host) => host.close()));
}
