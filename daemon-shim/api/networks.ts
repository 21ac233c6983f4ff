/** `/networks/…`. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { endpointConfig } from '../container/endpoints.ts';
import type { Engine } from '../engine.ts';
import { connectContainer, disconnectContainer } from '../network/connect.ts';
import { createNetwork } from '../network/create.ts';
import { decodeNetworkSpec } from '../network/decode-spec.ts';
import { inspectNetwork } from '../network/inspect.ts';
import { type NetworkRecord, predefinedNames } from '../network/record.ts';
import { removeNetwork } from '../network/remove.ts';
import { badRequest } from './api-error.ts';
import { asObject } from './fields.ts';
import { type Filters, matchesLabels, parseFilters } from './filters.ts';
import { queryOf } from './query.ts';
import { parseUntil } from './until.ts';

const listFilters = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'];
const pruneFilters = ['label', 'label!', 'until'];

export function networkRoutes(app: FastifyInstance, engine: Engine): void {
  const list = async (request: FastifyRequest) => {
    const filters = parseFilters(queryOf(request)['filters'], listFilters);
    for (const type of filters.get('type') ?? []) {
      if (type !== 'custom' && type !== 'builtin') throw badRequest(`invalid filter: 'type'='${type}'`);
    }
    for (const value of filters.get('dangling') ?? []) checkDangling(value);
    return engine.networks
      .list()
      .filter((network) => matches(engine, network, filters))
      .map((network) => ({ ...inspectNetwork(engine, network), Containers: {} }));
  };
  app.get('/networks', list);

  app.get('/networks/:id', async (request) => inspectNetwork(engine, engine.networks.get(idOf(request))));

  app.post('/networks/create', async (request, reply) => {
    const network = await createNetwork(engine, decodeNetworkSpec(engine, request.body));
    await reply.code(201).send({ Id: network.id, Warning: '' });
  });

  app.delete('/networks/:id', async (request, reply) => {
    await removeNetwork(engine, idOf(request));
    await reply.code(204).send();
  });

  app.post('/networks/:id/connect', async (request, reply) => {
    const body = asObject(request.body, 'body');
    const container = engine.containers.get(containerName(body));
    const config = endpointConfig(idOf(request), body['EndpointConfig']);
    await container.locked(() => connectContainer(engine, container, idOf(request), config));
    await reply.code(200).send();
  });

  app.post('/networks/:id/disconnect', async (request, reply) => {
    const body = asObject(request.body, 'body');
    const container = engine.containers.get(containerName(body));
    await container.locked(() => disconnectContainer(engine, container, idOf(request), body['Force'] === true));
    await reply.code(200).send();
  });

  app.post('/networks/prune', async (request) => {
    const filters = parseFilters(queryOf(request)['filters'], pruneFilters);
    for (const until of filters.get('until') ?? []) parseUntil(until);
    const deleted: string[] = [];
    for (const network of engine.networks.list()) {
      if (predefinedNames.includes(network.name) || isUsed(engine, network) || !matchesPrune(network, filters))
        continue;
      await removeNetwork(engine, network.id);
      deleted.push(network.name);
    }
    return { NetworksDeleted: deleted.length > 0 ? deleted : null };
  });
}

function idOf(request: FastifyRequest): string {
  return (request.params as { id: string }).id;
}

function containerName(body: Readonly<Record<string, unknown>>): string {
  const name = body['Container'];
  if (typeof name !== 'string' || name === '') throw badRequest('invalid JSON: field Container must be a container');
  return name;
}

function matches(engine: Engine, network: NetworkRecord, filters: Filters): boolean {
  const any = (name: string, test: (value: string) => boolean) => filters.get(name)?.some(test) ?? true;
  const isCustom = !predefinedNames.includes(network.name);
  return (
    any('id', (id) => network.id.startsWith(id)) &&
    any('name', (name) => network.name.includes(name)) &&
    // `bridge` is what scripts call the default driver.
    any('driver', (driver) => network.driver === (driver === 'bridge' ? engine.config.defaultNetworkDriver : driver)) &&
    any('scope', (scope) => scope === 'local') &&
    any('type', (type) => (type === 'custom') === isCustom) &&
    any('dangling', (value) => ['true', '1'].includes(value) === (isCustom && !isUsed(engine, network))) &&
    matchesLabels(filters.get('label'), network.labels)
  );
}

function checkDangling(value: string): void {
  if (!['true', '1', 'false', '0'].includes(value))
    throw badRequest(`invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`);
}

function matchesPrune(network: NetworkRecord, filters: Filters): boolean {
  const until = filters.get('until')?.[0];
  if (until !== undefined && Date.parse(network.created) > parseUntil(until)) return false;
  const excluded = filters.get('label!');
  return (
    matchesLabels(filters.get('label'), network.labels) &&
    !(excluded !== undefined && matchesLabels(excluded, network.labels))
  );
}

/** Also networks of stopped containers count as used. */
function isUsed(engine: Engine, network: NetworkRecord): boolean {
  return engine.containers
    .list()
    .some(({ record }) => Object.values(record.endpoints).some((endpoint) => endpoint.networkId === network.id));
}
