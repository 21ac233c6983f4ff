/**
 * A plugin as an HTTP server: decodes requests, runs the driver, writes replies in the form that every engine from 20.10 on
 * and Podman read. Where it listens is no concern of this file (listen.ts).
 *
 * Engines send no Content-Type, 20.10 an empty Host, some calls no body at all: bodies are read raw. Errors are replies of
 * status 200 with `Err`; IPAM errors carry `Error` as well, the only field that an engine looks at there. A body that is
 * empty where one is needed is an error: that is how a repeat after a lost connection looks.
 */
import type { IncomingHttpHeaders } from 'node:http';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { type CallObserver, CallRunner } from './call-runner.ts';
import { Connections } from './connections.ts';
import { errorLine, PluginError } from './errors.ts';
import type { Plugin } from './plugin.ts';
import { ACTIVATE, encodeActivateReply } from './protocol/activate.ts';
import { ipamMethods } from './protocol/ipam.ts';
import { decodeReadLogs, logMethods, READ_LOGS } from './protocol/log.ts';
import type { PreparedCall } from './protocol/method.ts';
import { networkMethods } from './protocol/network.ts';
import { volumeMethods } from './protocol/volume.ts';
import { type WireObject, WireReader } from './protocol/wire.ts';
import { sendStream } from './stream-reply.ts';

/** 65 535 published ports make a body of 7 MB. */
const BODY_LIMIT = 16 << 20;
/** Podman waits 5 s for a reply; the deadline leaves it time to read one. */
export const DEFAULT_DEADLINE_MS = 3800;
/** A request that is still not complete then never will be. */
const REQUEST_TIMEOUT_MS = 30_000;

export interface ServeOptions {
  /** A pino logger; without one the server is silent. */
  readonly log?: FastifyBaseLogger;
  /** For all methods that `plugin.deadlinesMs` does not name; from the arrival of a request to its answer. */
  readonly deadlineMs?: number;
  /** Called after each call, for metrics. */
  readonly onCall?: CallObserver;
  /** Serve TLS; PEM texts. With `ca`, a client must present a certificate of that authority. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca?: string };
}

/** The server for one plugin, not yet listening. `close()` lets running calls finish and breaks log streams off. */
export function servePlugin(plugin: Plugin, options: ServeOptions = {}): FastifyInstance {
  const app = createApp(options);
  const runner = new CallRunner({
    plugin: plugin.name,
    log: app.log,
    deadlineMs: (method) => plugin.deadlinesMs?.[method] ?? options.deadlineMs ?? DEFAULT_DEADLINE_MS,
    ...(options.onCall === undefined ? {} : { onCall: options.onCall }),
  });
  acceptAnyBody(app);
  closeInOrder(app, runner);

  app.post(`/${ACTIVATE}`, async (request) => {
    plugin.volume?.activated?.(clientOf(request.headers));
    return encodeActivateReply(plugin);
  });
  for (const { name, prepare } of methodsOf(plugin)) {
    app.post(`/${name}`, (request, reply) => {
      const left = () => reply.raw.destroyed && !reply.raw.writableFinished;
      return runner
        .run(name, () => prepare(parseBody(name, request.body)), left)
        .catch(async (error) => {
          // Podman takes every 200 for a success, whatever `Err` says (libpod/plugin/volume_api.go, handleErrorResponse).
          if (clientOf(request.headers) === 'podman') void reply.code(500);
          return failure(name, error);
        });
    });
  }
  const log = plugin.log;
  if (log?.readLogs !== undefined) {
    const readLogs = log.readLogs.bind(log);
    const failed = (error: unknown) => app.log.warn({ plugin: plugin.name, err: error }, 'reading logs failed');
    app.post(`/${READ_LOGS}`, async (request, reply) => {
      try {
        const { info, config } = decodeReadLogs(new WireReader(READ_LOGS, parseBody(READ_LOGS, request.body)));
        await sendStream(reply, (signal) => readLogs({ info, config }, signal), runner.closing, failed);
        return reply;
      } catch (error) {
        failed(error);
        // Not with status 200: an engine would read it as frames.
        return await reply.code(500).send(failure(READ_LOGS, error));
      }
    });
  }
  return app;
}

/** Docker engines from 20.10 on send an Accept header, Podman the host name `plugin`. */
function clientOf(headers: IncomingHttpHeaders): 'docker' | 'podman' | 'other' {
  if (headers.host === 'plugin') return 'podman';
  return headers.accept?.startsWith('application/vnd.docker.plugins.') ? 'docker' : 'other';
}

interface ServedMethod {
  readonly name: string;
  prepare(body: unknown): PreparedCall;
}

function methodsOf(plugin: Plugin): ServedMethod[] {
  const { network, ipam, volume, log } = plugin;
  return [
    ...(network ? Object.values(networkMethods).map((method) => bind(method, network)) : []),
    ...(ipam ? Object.values(ipamMethods).map((method) => bind(method, ipam)) : []),
    ...(volume ? Object.values(volumeMethods).map((method) => bind(method, volume)) : []),
    ...(log ? Object.values(logMethods).map((method) => bind(method, log)) : []),
  ];
}

function bind<Driver>(
  method: { readonly name: string; prepare(driver: Driver, body: unknown): PreparedCall },
  driver: Driver,
): ServedMethod {
  return { name: method.name, prepare: (body) => method.prepare(driver, body) };
}

/** undefined for an empty body; the method decides whether that is an error. */
function parseBody(method: string, body: unknown): unknown {
  const text = Buffer.isBuffer(body) ? body.toString('utf8').trim() : '';
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PluginError('PROTO_BODY', `${method}: the body is no JSON (${(error as Error).message})`, {
      cause: error,
    });
  }
}

/** The error in the fields that an engine looks at. */
function failure(method: string, error: unknown): WireObject {
  const line = errorLine(error);
  return method.startsWith('IpamDriver.') ? { Error: line, Err: line } : { Err: line };
}

function createApp(options: ServeOptions): FastifyInstance {
  const settings = {
    ...(options.log === undefined ? { logger: false } : { loggerInstance: options.log }),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT_MS,
    return503OnClosing: false,
    exposeHeadRoutes: false,
  };
  const http = { requireHostHeader: false, keepAlive: true, keepAliveInitialDelay: 60_000 };
  const app =
    options.tls === undefined
      ? fastify({ ...settings, http })
      : fastify({ ...settings, https: { ...http, ...options.tls, requestCert: options.tls.ca !== undefined } });
  // Engines keep two idle connections without limit. One that closes just when a request arrives makes the engine repeat it
  // without its body, so idle connections are never closed from here; TCP keep-alive finds dead peers. Set here, since
  // fastify takes an option of 0 for none.
  app.server.keepAliveTimeout = 0;
  return app as unknown as FastifyInstance;
}

function acceptAnyBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  // Whatever type a client names, and be it none at all or no type: the body is looked at, not its label.
  app.addHook('onRequest', async (request) => {
    delete request.raw.headers['content-type'];
  });
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.setNotFoundHandler(async (request, reply) => {
    const method = request.url.slice(1, 80);
    const error = new PluginError('PROTO_METHOD', `${request.method} "/${method}" is no method of this plugin`);
    return await reply.code(404).send(failure(method, error));
  });
  app.setErrorHandler(async (error: Error & { statusCode?: number }, request: FastifyRequest, reply: FastifyReply) => {
    const status = error.statusCode ?? 500;
    const refused =
      status < 500 ? new PluginError('PROTO_BODY', `${request.url.slice(1, 80)}: ${error.message}`) : error;
    if (status >= 500) app.log.error({ err: error, url: request.url }, 'a defect in the server');
    return await reply.code(status).send(failure(request.url.slice(1), refused));
  });
}

/** Keep-alive connections would hold up the end for ever, so each one goes when its last answer is out. */
function closeInOrder(app: FastifyInstance, runner: CallRunner): void {
  const connections = new Connections(app.server);
  app.addHook('preClose', async () => {
    runner.close();
    connections.close();
  });
}
