/** `/containers/{id}/archive`: HEAD tells what a path is, GET sends it as a tar, PUT unpacks one. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { archivePath, extractInto, type PathStat, statPath } from '../container/copy.ts';
import type { Engine } from '../engine.ts';
import { badRequest } from './api-error.ts';
import { isTrue, queryOf } from './query.ts';
import { bodyStream, streamBytes } from './stream.ts';

const statHeader = 'X-Docker-Container-Path-Stat';

export function archiveRoutes(app: FastifyInstance, engine: Engine): void {
  const url = '/containers/:id/archive';
  const find = (request: FastifyRequest) => engine.containers.get((request.params as { id: string }).id);

  app.head(url, async (request, reply) => {
    const stat = await statPath(engine, find(request), pathOf(request));
    await reply.header(statHeader, encodeStat(stat)).code(200).send();
  });

  app.get(url, (request, reply) =>
    archivePath(engine, find(request), pathOf(request), async (stat, archive) => {
      reply.raw.setHeader(statHeader, encodeStat(stat));
      await streamBytes(reply, 'application/x-tar', archive);
    }),
  );

  // Clients send the tar as text/plain, which everywhere else is JSON.
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
    scope.put(url, (request, reply) => put(request, reply));
  });

  const put = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const query = queryOf(request);
    await extractInto(
      engine,
      find(request),
      {
        path: pathOf(request),
        keepKinds: isTrue(query['noOverwriteDirNonDir']),
        ownedByUser: isTrue(query['copyUIDGID']),
      },
      bodyStream(request),
    );
    await reply.code(200).send();
  };
}

function pathOf(request: FastifyRequest): string {
  const { path } = queryOf(request);
  if (path === undefined || path === '') throw badRequest('bad parameter: path cannot be empty');
  return path;
}

function encodeStat(stat: PathStat): string {
  return Buffer.from(JSON.stringify(stat)).toString('base64');
}
