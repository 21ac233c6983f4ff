/**
 * The Engine API on fastify: version prefixes, errors and the headers that clients look at are handled here, each noun's
 * routes are in the file of its name. Requests that hijack the connection go past fastify (hijack.ts).
 */
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Engine } from '../engine.ts';
import { ApiError, badRequest, notFound } from './api-error.ts';
import { archiveRoutes } from './archive.ts';
import { attachRoute } from './attach.ts';
import { containerVerbRoutes } from './container-verbs.ts';
import { containerRoutes } from './containers.ts';
import { eventRoutes } from './events.ts';
import { execRoutes, execStartRoute } from './exec.ts';
import { type HijackHandler, serveHijack } from './hijack.ts';
import { imageRoutes } from './images.ts';
import { networkRoutes } from './networks.ts';
import { systemRoutes } from './system.ts';
import { buildRefused, unsupportedRoutes } from './unsupported.ts';
import { checkVersion, commonHeaders, versionPrefix } from './version.ts';
import { volumeRoutes } from './volumes.ts';

const maxBodyBytes = 16 << 20;

/** Makes the server that fastify answers through; the default is plain HTTP. */
export type ServerFactory = (handler: RequestListener) => Server;

/** Longest-lived first byte: streams of logs, events, attach have no time limit of their own. */
export function createApi(engine: Engine, makeServer?: ServerFactory): FastifyInstance {
  const app = fastify({
    ...(makeServer === undefined ? {} : { serverFactory: makeServer }),
    bodyLimit: maxBodyBytes,
    loggerInstance: engine.log.child({ part: 'api' }, { level: 'warn' }) as FastifyBaseLogger,
    disableRequestLogging: true,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 4096 },
    // At the end, requests that run are finished; who listens (listen.ts) cuts those that stream after a while.
    forceCloseConnections: 'idle',
    rewriteUrl: (request) => (request.url ?? '/').replace(versionPrefix, ''),
    requestTimeout: 0,
    keepAliveTimeout: 0,
  });
  // Clients send JSON with and without a type; archives come as streams. Each route reads what it wants.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string', bodyLimit: maxBodyBytes }, (_request, text, done) =>
    parseJson(String(text), done),
  );
  app.addContentTypeParser('text/plain', { parseAs: 'string', bodyLimit: maxBodyBytes }, (_request, text, done) =>
    parseJson(String(text), done),
  );
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  app.addHook('onRequest', checkVersion);
  app.addHook('onSend', async (_request, reply) => {
    // The docker command reads an error as JSON only when the type is exactly this.
    if (String(reply.getHeader('content-type')).startsWith('application/json'))
      reply.header('content-type', 'application/json');
    reply.headers(commonHeaders);
  });
  app.setErrorHandler(answerError);
  app.setNotFoundHandler(async () => {
    throw notFound('page not found');
  });
  systemRoutes(app, engine);
  eventRoutes(app, engine);
  containerRoutes(app, engine);
  containerVerbRoutes(app, engine);
  archiveRoutes(app, engine);
  execRoutes(app, engine);
  imageRoutes(app, engine);
  networkRoutes(app, engine);
  volumeRoutes(app, engine);
  unsupportedRoutes(app);
  // Streams that are no HTTP any more: the server's end does not know them.
  const hijacked = new Set<Duplex>();
  app.addHook('preClose', async () => {
    for (const socket of hijacked) socket.destroy();
  });
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    hijacked.add(socket);
    socket.once('close', () => hijacked.delete(socket));
    void serveHijack(request, socket, head, hijackRouter(engine));
  });
  return app;
}

/** The two verbs whose connection becomes a stream. */
function hijackRouter(engine: Engine): HijackHandler {
  return async (request, accept) => {
    const attach = /^\/containers\/([^/]+)\/attach$/.exec(request.path)?.[1];
    if (attach !== undefined) return attachRoute(engine, decodeURIComponent(attach), request, accept);
    const exec = /^\/exec\/([^/]+)\/start$/.exec(request.path)?.[1];
    if (exec !== undefined) return execStartRoute(engine, decodeURIComponent(exec), request, accept);
    throw buildRefused(request.path) ?? notFound('page not found');
  };
}

function parseJson(text: string, done: (error: Error | null, body?: unknown) => void): void {
  try {
    done(null, text.trim() === '' ? undefined : JSON.parse(text));
  } catch (error) {
    done(badRequest(`invalid JSON: ${(error as Error).message}`));
  }
}

async function answerError(
  error: Error & { statusCode?: number },
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const statusCode = error instanceof ApiError ? error.statusCode : (error.statusCode ?? 500);
  if (statusCode >= 500 && statusCode !== 501)
    request.log.error({ err: error, url: request.originalUrl }, 'request failed');
  await reply.code(statusCode).send({ message: error.message });
}
