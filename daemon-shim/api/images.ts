/** `/images/…` and `/commit`: decodes what came, calls the verb, encodes what it gave. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Engine } from '../engine.ts';
import { commitContainer } from '../image/commit.ts';
import type { ImageConfig } from '../image/image-store.ts';
import { importImage } from '../image/import.ts';
import { imageHistory, inspectImage } from '../image/inspect.ts';
import { imageListFilters, listImages } from '../image/list.ts';
import { loadImages } from '../image/load.ts';
import { checkPlatform } from '../image/platform.ts';
import { imagePruneFilters, pruneImages } from '../image/prune.ts';
import { formatReference } from '../image/reference.ts';
import { removeImage } from '../image/remove.ts';
import { saveImages } from '../image/save.ts';
import { tagImage, tagName } from '../image/tag.ts';
import { badRequest, notFound, notSupported } from './api-error.ts';
import { parseFilters } from './filters.ts';
import { allOf, isTrue, queryOf } from './query.ts';
import { bodyStream, streamBytes, streamProgress } from './stream.ts';
import { pulledName, pullRefused } from './unsupported.ts';
import { requestVersion } from './version.ts';

export function imageRoutes(app: FastifyInstance, engine: Engine): void {
  app.get('/images/json', (request) => {
    const query = queryOf(request);
    return listImages(engine, {
      all: isTrue(query['all']),
      filters: listFilters(query),
      sharedSize: isTrue(query['shared-size']),
      version: requestVersion(request),
    });
  });

  app.post('/images/prune', (request) =>
    pruneImages(engine, parseFilters(queryOf(request)['filters'], imagePruneFilters)),
  );

  app.get('/images/get', (request, reply) => sendImages(engine, request, reply, allOf(request, 'names')));

  // Names of images contain slashes: what comes after the last one is the verb.
  app.get('/images/*', async (request, reply) => {
    const { name, verb } = splitPath(request);
    if (verb === 'get') return sendImages(engine, request, reply, [name]);
    if (verb !== 'json' && verb !== 'history') throw notFound('page not found');
    const image = engine.images.get(name);
    checkPlatform(image, name, queryOf(request)['platform']);
    return verb === 'json' ? inspectImage(engine, image, requestVersion(request)) : imageHistory(engine, image);
  });

  app.post('/images/*', async (request, reply) => {
    const { name, verb } = splitPath(request);
    const query = queryOf(request);
    if (verb === 'push') {
      throw notSupported(
        `this engine pushes to no registry: here "docker save ${formatReference(name)}", on the other host "docker load"`,
      );
    }
    if (verb !== 'tag') throw notFound('page not found');
    const tag = tagName(query['repo'], query['tag']);
    if (tag === undefined) throw badRequest('invalid reference format');
    tagImage(engine, engine.images.get(name), tag);
    await reply.code(201).send();
  });

  app.delete('/images/*', (request) => {
    const query = queryOf(request);
    const reference = (request.params as { '*': string })['*'];
    return removeImage(engine, reference, { force: isTrue(query['force']), prune: !isTrue(query['noprune']) });
  });

  app.post('/commit', async (request, reply) => {
    const query = queryOf(request);
    const container = engine.containers.get(query['container'] ?? '');
    const Id = await commitContainer(engine, container, {
      tag: tagName(query['repo'], query['tag']),
      author: query['author'] ?? '',
      comment: query['comment'] ?? '',
      changes: allOf(request, 'changes'),
      pause: query['pause'] === undefined || isTrue(query['pause']),
      config: givenConfig(request.body),
    });
    await reply.code(201).send({ Id });
  });

  void app.register(async (scope) => {
    // Archives come under any type, import even as text/plain: none is parsed here.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    archiveRoutes(scope, engine);
  });
}

function archiveRoutes(app: FastifyInstance, engine: Engine): void {
  app.post('/images/load', async (request, reply) => {
    const quiet = isTrue(queryOf(request)['quiet']);
    await streamProgress(reply, (report) => loadImages(engine, bodyStream(request), report, quiet), {
      atOnce: true,
    });
  });

  app.post('/images/create', async (request, reply) => {
    const query = queryOf(request);
    if (query['fromImage']) {
      const name = pulledName(query['fromImage'], query['tag'] ?? '');
      const image = engine.images.find(name);
      if (image === undefined) throw pullRefused(name);
      checkPlatform(image, name, query['platform']);
      // The docker command pulls after any 404 of `create`, and shows what was wrong when it then tries again.
      const status = `Status: ${name} is on this host; this engine pulls from no registry`;
      return streamProgress(reply, async (report) => report({ status }));
    }
    if (query['fromSrc'] !== '-') {
      throw notSupported('this engine fetches nothing from the network: curl URL | docker import - NAME');
    }
    await streamProgress(reply, async (report) => {
      const image = await importImage(engine, {
        archive: bodyStream(request),
        tag: tagName(query['repo'], query['tag']),
        changes: allOf(request, 'changes'),
        message: query['message'] ?? '',
        platform: query['platform'] ?? '',
      });
      report({ status: image.id });
    });
  });
}

async function sendImages(
  engine: Engine,
  request: FastifyRequest,
  reply: FastifyReply,
  names: readonly string[],
): Promise<void> {
  if (names.length === 0) throw badRequest('no image was named');
  for (const name of names) {
    const image = engine.images.find(name);
    if (image !== undefined) checkPlatform(image, name, queryOf(request)['platform']);
  }
  await streamBytes(reply, 'application/x-tar', saveImages(engine, names));
}

/** The filter parameter of its own is what clients before 1.25 sent. */
function listFilters(query: Readonly<Record<string, string | undefined>>) {
  const filters = parseFilters(query['filters'], imageListFilters);
  const name = query['filter'];
  return name === undefined || name === '' ? filters : new Map([...filters, ['reference', [name]]]);
}

/** Of a commit, the fields that the client sets; docker sends none, or null. */
function givenConfig(body: unknown): ImageConfig | undefined {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined;
  const given = Object.entries(body).filter(([, value]) => {
    if (value === null || value === '' || value === false) return false;
    return typeof value !== 'object' || Object.keys(value).length > 0;
  });
  return given.length === 0 ? undefined : (Object.fromEntries(given) as ImageConfig);
}

function splitPath(request: FastifyRequest): { name: string; verb: string } {
  const path = (request.params as { '*': string })['*'];
  const at = path.lastIndexOf('/');
  return { name: path.slice(0, Math.max(0, at)), verb: path.slice(at + 1) };
}
