/** `/_ping`, `/version`, `/info`, `/system/df`. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Engine } from '../engine.ts';
import { diskUsage, usageTypes } from '../system/disk-usage.ts';
import { systemInfo } from '../system/info.ts';
import { systemVersion } from '../system/version.ts';
import { badRequest } from './api-error.ts';
import { allOf } from './query.ts';
import { requestVersion } from './version.ts';

export function systemRoutes(app: FastifyInstance, engine: Engine): void {
  const ping = (_request: unknown, reply: FastifyReply) =>
    reply
      .headers({ 'Cache-Control': 'no-cache, no-store, must-revalidate', Pragma: 'no-cache', Swarm: 'inactive' })
      .type('text/plain; charset=utf-8')
      .send('OK');
  app.get('/_ping', ping);
  app.head('/_ping', ping);
  app.get('/version', () => systemVersion(engine));
  app.get('/info', (request) => systemInfo(engine, requestVersion(request)));
  app.get('/system/df', (request) => {
    const asked = allOf(request, 'type');
    const types = asked.map((type) => {
      const known = usageTypes.find((candidate) => candidate === type);
      if (known === undefined) throw badRequest(`unknown object type: ${type}`);
      return known;
    });
    return diskUsage(engine, types.length > 0 ? types : usageTypes, requestVersion(request));
  });
}
