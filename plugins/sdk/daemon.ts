/**
 * The frame of a plugin daemon: flags and configuration in, then records and kernel brought together by the service, then
 * the control socket, then one socket per plugin, then readiness told to systemd. SIGTERM goes back the same way and leaves
 * the data plane as it is; SIGHUP reads the configuration again.
 *
 *     RUN_DIR/NAME.sock        control socket: JSON for the `cleat` command, /version, /metrics
 *     PLUGIN_DIR/PLUGIN.sock   one for each driver
 *     STATE_DIR/…              the service's own records
 */
import { mkdirSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { type DaemonFlags, defaultConfigFile, parseDaemonFlags, readConfig, UsageError } from './daemon-flags.ts';
import { errorLine, PluginError } from './errors.ts';
import { answersOnUnixSocket, type Listening, listenOnUnixSocket, listenPlugin } from './listen.ts';
import { notifySystemd } from './notify.ts';
import type { Plugin } from './plugin.ts';
import { readVersion } from './version.ts';

export interface DaemonContext {
  readonly config: Readonly<Record<string, unknown>>;
  readonly runDir: string;
  readonly stateDir: string;
  readonly pluginDir: string;
  readonly log: Logger;
  readonly registry: Registry;
}

export interface Service {
  /** Ready to answer: the sockets are made after start() has resolved. */
  readonly plugins: readonly Plugin[];
  /** Adds the service's JSON routes to the daemon's control socket. */
  control(app: FastifyInstance): void;
  reload?(config: Readonly<Record<string, unknown>>): Promise<void>;
  /** Called when no request is running any more. The data plane stays. */
  stop(): Promise<void>;
}

export interface DaemonSpec {
  /** `networkd`, `volumed`, `logd`; an author's own daemon has its own. */
  readonly name: string;
  /** One sentence for --help. */
  readonly about: string;
  start(context: DaemonContext): Promise<Service>;
}

export interface RunningDaemon {
  reload(): Promise<void>;
  stop(): Promise<void>;
}

/** The main of a daemon process: never returns before the process has been told to stop. */
export async function runDaemon(spec: DaemonSpec, argv: readonly string[] = process.argv.slice(2)): Promise<void> {
  try {
    const parsed = parseDaemonFlags(spec.name, spec.about, argv);
    if (parsed.kind === 'text') {
      process.stdout.write(`${parsed.text}\n`);
      return;
    }
    await runDaemons([spec], parsed.flags);
  } catch (error) {
    process.stderr.write(`cleat-${spec.name}: ${error instanceof UsageError ? error.message : errorLine(error)}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

/** Runs several daemons in one process until SIGTERM or SIGINT. Each reads its own configuration file unless one is given. */
export async function runDaemons(specs: readonly DaemonSpec[], flags: DaemonFlags): Promise<void> {
  const log = pino(
    { level: flags.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination(2),
  );
  process.on('unhandledRejection', (reason) =>
    log.error({ err: reason }, 'a promise was rejected and nobody looked: a defect'),
  );
  const running: RunningDaemon[] = [];
  const stopAll = async () => {
    for (const daemon of running.reverse()) await daemon.stop();
  };
  // Asked to stop while starting: finish the start, then stop; half-started services could not clean up.
  const stopRequested = new Promise<NodeJS.Signals>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  const hold = setInterval(() => {}, 2 ** 30);
  try {
    for (const spec of specs)
      running.push(await startDaemon(spec, flagsFor(spec, flags), log.child({ daemon: spec.name })));
    process.on('SIGHUP', () => {
      for (const daemon of running)
        daemon
          .reload()
          .catch((error: unknown) => log.error({ err: error }, 'reload failed; the old configuration stays'));
    });
    notifySystemd('READY=1', log);
    const signal = await stopRequested;
    log.info({ signal }, 'stopping');
    notifySystemd('STOPPING=1', log);
  } finally {
    clearInterval(hold);
    await stopAll();
    // Adopted descriptors, idle connections and what a start that failed left open must not hold up the end. The caller comes first:
    // it says why, and with which exit code.
    setImmediate(() => process.exit());
  }
}

/** Starts one daemon inside this process. */
export async function startDaemon(spec: DaemonSpec, flags: DaemonFlags, log: Logger): Promise<RunningDaemon> {
  const config = readConfig(spec.name, flags);
  for (const folder of [flags.runDir, flags.stateDir, flags.pluginDir])
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  const controlPath = join(flags.runDir, `${spec.name}.sock`);
  // Before any record or link is touched: the listening below would refuse too, but too late.
  if (await answersOnUnixSocket(controlPath)) {
    throw new UsageError(
      `already running: another daemon answers on ${controlPath}; stop it, or give this one its own --run-dir`,
    );
  }
  const registry = new Registry();
  // Milliseconds between two samples of the event loop's lag: each is a wake-up of a process that may have nothing else to do.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 1000 });
  const { runDir, stateDir, pluginDir } = flags;
  const service = await spec.start({ config, runDir, stateDir, pluginDir, log, registry });
  const open: Listening[] = [];
  const close = async () => {
    await Promise.allSettled(open.map((listening) => listening.close()));
    await service.stop();
  };
  try {
    open.push(await listenOnUnixSocket(controlApp(service, log, registry), controlPath));
    for (const plugin of service.plugins) open.push(await listenPlugin(plugin, { pluginDir, log }));
  } catch (error) {
    await close();
    throw error;
  }
  log.info({ plugins: service.plugins.map((plugin) => plugin.name), pluginDir }, 'ready');
  // A daemon that is killed would otherwise never leave its compiled code for the next start (bin/run).
  flushCompileCache();
  const reload = async () => {
    await service.reload?.(readConfig(spec.name, flags));
    log.info({ file: flags.configFile }, 'configuration read again');
  };
  return { reload, stop: close };
}

function controlApp(service: Service, log: Logger, registry: Registry): FastifyInstance {
  const app = fastify({
    loggerInstance: log.child({ part: 'control' }, { level: 'warn' }) as FastifyBaseLogger,
    bodyLimit: 1 << 20,
  });
  app.get('/version', () => ({ version: readVersion(), pid: process.pid }));
  app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
  app.setErrorHandler(async (error: Error & { statusCode?: number }, _request, reply) => {
    const wrongInput = error instanceof PluginError || (error.statusCode ?? 500) < 500;
    const message = error instanceof PluginError || wrongInput === false ? errorLine(error) : error.message;
    await reply
      .code(wrongInput ? 400 : 500)
      .send({ message, code: error instanceof PluginError ? error.code : undefined });
  });
  app.setNotFoundHandler(async (request, reply) =>
    reply.code(404).send({ message: `no such control route: ${request.method} ${request.url}` }),
  );
  service.control(app);
  return app;
}

/** With several daemons in one process, each still reads its own default file unless one was given for all. */
function flagsFor(spec: DaemonSpec, flags: DaemonFlags): DaemonFlags {
  return flags.configGiven ? flags : { ...flags, configFile: defaultConfigFile(spec.name) };
}
