/** The smaller verbs of `/containers/{id}/…`: pause, rename, update, top, stats, resize. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { pauseContainer, unpauseContainer } from '../container/pause.ts';
import type { Container } from '../container/registry.ts';
import { renameContainer } from '../container/rename.ts';
import { type Sample, statsOf, takeSample } from '../container/stats.ts';
import { listProcesses } from '../container/top.ts';
import { updateContainer } from '../container/update.ts';
import type { Engine } from '../engine.ts';
import { badRequest, conflict } from './api-error.ts';
import { sizeOf } from './exec.ts';
import { isTrue, queryOf } from './query.ts';

const sampleMs = 1000;

export function containerVerbRoutes(app: FastifyInstance, engine: Engine): void {
  const find = (request: FastifyRequest) => engine.containers.get((request.params as { id: string }).id);

  app.post('/containers/:id/pause', async (request, reply) => {
    const container = find(request);
    await container.locked(() => pauseContainer(engine, container));
    await reply.code(204).send();
  });

  app.post('/containers/:id/unpause', async (request, reply) => {
    const container = find(request);
    await container.locked(() => unpauseContainer(engine, container));
    await reply.code(204).send();
  });

  app.post('/containers/:id/rename', async (request, reply) => {
    const container = find(request);
    await container.locked(async () => renameContainer(engine, container, queryOf(request)['name'] ?? ''));
    await reply.code(204).send();
  });

  app.post('/containers/:id/update', async (request) => {
    const container = find(request);
    return { Warnings: await container.locked(() => updateContainer(engine, container, request.body)) };
  });

  app.get('/containers/:id/top', async (request) => listProcesses(find(request), queryOf(request)['ps_args'] || '-ef'));

  app.post('/containers/:id/resize', async (request, reply) => {
    const container = find(request);
    const { rows, columns } = sizeOf(request);
    if (!container.isRunning) throw conflict(`container ${container.id} is not running`);
    container.streams?.resize(rows, columns);
    await reply.code(200).send();
  });

  app.get('/containers/:id/stats', async (request, reply) => {
    const query = queryOf(request);
    const stream = query['stream'] === undefined || isTrue(query['stream']);
    const oneShot = isTrue(query['one-shot']);
    if (stream && oneShot) throw badRequest('cannot have stream=true and one-shot=true');
    await sendStats(engine, find(request), { stream, oneShot }, reply);
  });

  // A websocket is none of the ways in which the docker command talks.
  app.get('/containers/:id/attach/ws', async () => {
    throw badRequest('attach over a websocket is not supported; use POST /containers/{id}/attach with Upgrade: tcp');
  });
}

async function sendStats(
  engine: Engine,
  container: Container,
  { stream, oneShot }: { readonly stream: boolean; readonly oneShot: boolean },
  reply: FastifyReply,
): Promise<void> {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { 'Content-Type': 'application/json' });
  raw.flushHeaders();
  const gone = new Promise<void>((resolve) => raw.on('close', resolve));
  let before: Sample | undefined = oneShot || stream ? undefined : takeSample(container);
  if (before !== undefined) await pause(gone);
  do {
    const sample = takeSample(container);
    raw.write(`${JSON.stringify(statsOf(container, sample, before))}\n`);
    before = sample;
    if (stream) await pause(gone);
  } while (stream && !raw.destroyed && engine.containers.find(container.id) === container);
  raw.end();
}

/** A second, or until the client goes. */
async function pause(gone: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, sampleMs);
  await Promise.race([promise, gone]);
  clearTimeout(timer);
}
