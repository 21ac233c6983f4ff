/** `/images/…`: decodes what came, calls the verb, encodes what it gave. */
import type { FastifyInstance } from 'fastify';
import type { Engine } from '../engine.ts';
import { loadImages } from '../image/load.ts';
import { isTrue, queryOf } from './query.ts';
import { bodyStream, streamProgress } from './stream.ts';

export function imageRoutes(app: FastifyInstance, engine: Engine): void {
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
    await streamProgress(reply, (report) => loadImages(engine, bodyStream(request), report, quiet));
  });
}
