/** `/containers/…`: decodes what came, calls the verb, encodes what it gave. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { createContainer } from '../container/create.ts';
import type { WaitCondition } from '../container/registry.ts';
import { startContainer } from '../container/start.ts';
import type { Engine } from '../engine.ts';
import { badRequest } from './api-error.ts';
import { queryOf } from './query.ts';

const waitConditions: readonly WaitCondition[] = ['not-running', 'next-exit', 'removed'];

export function containerRoutes(app: FastifyInstance, engine: Engine): void {
  app.post('/containers/create', async (request, reply) => {
    const { name } = queryOf(request);
    const { container, warnings } = await createContainer(engine, {
      name: name?.replace(/^\//, '') || undefined,
      body: request.body,
    });
    await reply.code(201).send({ Id: container.id, Warnings: warnings });
  });

  app.post('/containers/:id/start', async (request, reply) => {
    const container = containerOf(request, engine);
    const started = await container.locked(() => startContainer(engine, container));
    await reply.code(started ? 204 : 304).send();
  });

  app.post('/containers/:id/wait', async (request, reply) => {
    const container = containerOf(request, engine);
    const condition = waitConditions.find((known) => known === (queryOf(request)['condition'] || 'not-running'));
    if (condition === undefined) throw badRequest(`invalid condition: "${queryOf(request)['condition']}"`);
    const gone = new AbortController();
    request.raw.on('close', () => gone.abort());
    // The client starts the container only when the headers have come: the wait is in place before they go out.
    const exit = container.wait(condition, gone.signal);
    reply.raw.writeHead(200, { 'Content-Type': 'application/json' });
    reply.raw.flushHeaders();
    reply.hijack();
    reply.raw.end(`${JSON.stringify({ StatusCode: await exit })}\n`);
  });
}

function containerOf(request: FastifyRequest, engine: Engine) {
  return engine.containers.get((request.params as { id: string }).id);
}
