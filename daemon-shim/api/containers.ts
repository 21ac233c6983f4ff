/** `/containers/…`: decodes what came, calls the verb, encodes what it gave. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { changedFiles } from '../container/changed-files.ts';
import { createContainer } from '../container/create.ts';
import { exportContainer } from '../container/export.ts';
import { inspectContainer } from '../container/inspect.ts';
import { listContainers, listFilters } from '../container/list.ts';
import { containerPruneFilters, pruneContainers } from '../container/prune.ts';
import type { WaitCondition } from '../container/registry.ts';
import { removeContainer } from '../container/remove.ts';
import { startContainer } from '../container/start.ts';
import { killContainer, restartContainer, type StopOptions, stopContainer } from '../container/stop.ts';
import type { Engine } from '../engine.ts';
import { addSize } from '../system/disk-usage.ts';
import { badRequest, conflict, noSuchContainer, notFound } from './api-error.ts';
import { parseFilters } from './filters.ts';
import { sendLogs } from './logs.ts';
import { isTrue, parseInteger, queryOf } from './query.ts';
import { streamBytes } from './stream.ts';

const waitConditions: readonly WaitCondition[] = ['not-running', 'next-exit', 'removed'];

export function containerRoutes(app: FastifyInstance, engine: Engine): void {
  app.post('/containers/create', async (request, reply) => {
    const { name, platform } = queryOf(request);
    const { container, warnings } = await createContainer(engine, {
      name: name?.replace(/^\//, '') || undefined,
      platform,
      body: request.body,
    });
    await reply.code(201).send({ Id: container.id, Warnings: warnings });
  });

  app.post('/containers/:id/start', async (request, reply) => {
    const container = containerOf(request, engine);
    const started = await container.locked(() => startContainer(engine, container));
    await reply.code(started ? 204 : 304).send();
  });

  app.get('/containers/json', async (request) => {
    const query = queryOf(request);
    const limit = parseInteger(query['limit'], 'limit');
    const list = listContainers(engine, {
      all: isTrue(query['all']),
      limit: limit !== undefined && limit > 0 ? limit : undefined,
      filters: parseFilters(query['filters'], listFilters),
    });
    return isTrue(query['size']) ? Promise.all(list.map((summary) => addSize(engine, summary))) : list;
  });

  app.get('/containers/:id/json', async (request) => {
    const shown = inspectContainer(engine, containerOf(request, engine));
    return isTrue(queryOf(request)['size']) ? addSize(engine, shown) : shown;
  });

  app.post('/containers/:id/stop', async (request, reply) => {
    const stopped = await stopContainer(engine, containerOf(request, engine), stopOptions(request));
    await reply.code(stopped ? 204 : 304).send();
  });

  app.post('/containers/:id/kill', async (request, reply) => {
    const { id } = request.params as { id: string };
    if (engine.containers.find(id) === undefined)
      throw notFound(`cannot kill container: ${id}: ${noSuchContainer(id).message}`);
    await killContainer(engine, containerOf(request, engine), queryOf(request)['signal'], id);
    await reply.code(204).send();
  });

  app.post('/containers/:id/restart', async (request, reply) => {
    await restartContainer(engine, containerOf(request, engine), stopOptions(request));
    await reply.code(204).send();
  });

  app.delete('/containers/:id', async (request, reply) => {
    const query = queryOf(request);
    if (isTrue(query['link'])) throw conflict('Conflict, cannot remove the default link name of the container');
    await removeContainer(engine, containerOf(request, engine), {
      force: isTrue(query['force']),
      volumes: isTrue(query['v']),
    });
    await reply.code(204).send();
  });

  app.get('/containers/:id/logs', (request, reply) =>
    sendLogs(engine, containerOf(request, engine), queryOf(request), reply),
  );

  app.get('/containers/:id/changes', async (request) => {
    const changes = await changedFiles(engine, containerOf(request, engine));
    return changes.length > 0 ? changes : null;
  });

  app.get('/containers/:id/export', (request, reply) =>
    streamBytes(reply, 'application/octet-stream', exportContainer(engine, containerOf(request, engine))),
  );

  app.post('/containers/prune', (request) =>
    pruneContainers(engine, parseFilters(queryOf(request)['filters'], containerPruneFilters)),
  );

  app.post('/containers/:id/wait', async (request, reply) => {
    const container = containerOf(request, engine);
    const condition = waitConditions.find((known) => known === (queryOf(request)['condition'] || 'not-running'));
    if (condition === undefined) throw badRequest(`invalid condition: "${queryOf(request)['condition']}"`);
    const gone = new AbortController();
    reply.raw.on('close', () => gone.abort());
    // The client starts the container only when the headers have come: the wait is in place before they go out.
    const exit = container.wait(condition, gone.signal);
    reply.raw.writeHead(200, { 'Content-Type': 'application/json' });
    reply.raw.flushHeaders();
    reply.hijack();
    reply.raw.end(`${JSON.stringify({ StatusCode: await exit })}\n`);
  });
}

function stopOptions(request: FastifyRequest): StopOptions {
  const { signal, t } = queryOf(request);
  const timeoutSeconds = parseInteger(t, 't');
  return { ...(signal ? { signal } : {}), ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) };
}

function containerOf(request: FastifyRequest, engine: Engine) {
  return engine.containers.get((request.params as { id: string }).id);
}
