/** `/volumes/…`. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Engine } from '../engine.ts';
import { anonymousLabel } from '../volume/registry.ts';
import { volumeBytes } from '../volume/size.ts';
import {
  checkVolumeName,
  createVolume,
  inspectVolume,
  listVolumes,
  removeVolume,
  type ShownVolume,
  showCreated,
} from '../volume/volumes.ts';
import { badRequest } from './api-error.ts';
import { asObject, textField, textMapField } from './fields.ts';
import { booleanFilter, type Filters, matchesLabels, parseFilters } from './filters.ts';
import { isTrue, queryOf } from './query.ts';
import { requestVersion } from './version.ts';

const listFilters = ['dangling', 'driver', 'label', 'name'];
const pruneFilters = ['all', 'label', 'label!'];
/** From this version on, prune takes anonymous volumes only unless told `all`. */
const anonymousOnlySince = 1042;

export function volumeRoutes(app: FastifyInstance, engine: Engine): void {
  app.get('/volumes', async (request) => {
    const filters = parseFilters(queryOf(request)['filters'], listFilters);
    for (const value of filters.get('dangling') ?? []) booleanFilter('dangling', value);
    const { volumes, warnings } = await listVolumes(engine);
    return {
      Volumes: volumes.filter((volume) => matches(engine, volume, filters)),
      Warnings: warnings.length > 0 ? warnings : null,
    };
  });

  app.get('/volumes/:name', async (request) => inspectVolume(engine, nameOf(request)));

  app.post('/volumes/create', async (request, reply) => {
    const body = asObject(request.body ?? {}, 'body');
    const name = textField(body, 'Name');
    if (name !== '') checkVolumeName(name);
    if (body['ClusterVolumeSpec'] !== undefined)
      throw badRequest('cluster volumes belong to swarm mode, which this engine does not have');
    const created = await createVolume(engine, {
      name: name || undefined,
      driver: textField(body, 'Driver') || 'local',
      options: textMapField(body, 'DriverOpts'),
      labels: textMapField(body, 'Labels'),
    });
    await reply.code(201).send(await showCreated(engine, created));
  });

  app.delete('/volumes/:name', async (request, reply) => {
    await removeVolume(engine, nameOf(request), isTrue(queryOf(request)['force']));
    await reply.code(204).send();
  });

  app.post('/volumes/prune', async (request) => {
    const filters = parseFilters(queryOf(request)['filters'], pruneFilters);
    const all = isTrue(filters.get('all')?.[0]) || requestVersion(request) < anonymousOnlySince;
    const deleted: string[] = [];
    let reclaimed = 0;
    for (const record of engine.volumes.list()) {
      const excluded = filters.get('label!');
      if (isUsed(engine, record.name) || (!all && !Object.hasOwn(record.labels, anonymousLabel))) continue;
      if (
        !matchesLabels(filters.get('label'), record.labels) ||
        (excluded !== undefined && matchesLabels(excluded, record.labels))
      )
        continue;
      const bytes = await volumeBytes(engine, await inspectVolume(engine, record.name));
      await removeVolume(engine, record.name, false);
      deleted.push(record.name);
      reclaimed += Math.max(0, bytes);
    }
    return { VolumesDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: reclaimed };
  });
}

function matches(engine: Engine, volume: ShownVolume, filters: Filters): boolean {
  const any = (name: string, test: (value: string) => boolean) => filters.get(name)?.some(test) ?? true;
  return (
    any('name', (name) => volume.Name.includes(name)) &&
    any('driver', (driver) => volume.Driver === driver) &&
    any('dangling', (value) => ['true', '1'].includes(value) === !isUsed(engine, volume.Name)) &&
    matchesLabels(filters.get('label'), volume.Labels ?? {})
  );
}

function isUsed(engine: Engine, name: string): boolean {
  return engine.containers.list().some(({ record }) => record.mounts.some((mount) => mount.name === name));
}

function nameOf(request: FastifyRequest): string {
  return (request.params as { name: string }).name;
}
