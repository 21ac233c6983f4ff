/** `docker ps`: which containers a request sees, and their one-line summaries. */
import { badRequest } from '../api/api-error.ts';
import { booleanFilter, type Filters, matchesLabels } from '../api/filters.ts';
import type { Engine } from '../engine.ts';
import { humanDuration } from './duration.ts';
import { inspectEndpoint, inspectMount, unixSeconds } from './inspect.ts';
import type { ContainerRecord, ContainerState } from './record.ts';
import type { Container } from './registry.ts';

export const listFilters = [
  'ancestor',
  'before',
  'exited',
  'expose',
  'health',
  'id',
  'is-task',
  'isolation',
  'label',
  'name',
  'network',
  'publish',
  'since',
  'status',
  'volume',
] as const;

export interface ListOptions {
  /** Stopped ones too. */
  readonly all: boolean;
  /** At most so many of the newest, stopped or not. */
  readonly limit: number | undefined;
  readonly filters: Filters;
}

const statuses = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'];
const healths = ['none', 'starting', 'healthy', 'unhealthy'];

export function listContainers(engine: Engine, options: ListOptions): object[] {
  const { filters } = options;
  checkFilterValues(filters);
  const everything =
    options.all ||
    options.limit !== undefined ||
    ['status', 'exited', 'before', 'since'].some((name) => filters.has(name));
  const bounds = createdBounds(engine, filters);
  const found = engine.containers
    .list()
    .filter((container) => everything || container.isRunning || container.state.status === 'restarting')
    .filter((container) => matchesFilters(engine, container, filters))
    .filter(({ record }) => record.created < bounds.before && record.created > bounds.after);
  return found.slice(0, options.limit).map((container) => summarize(engine, container.record));
}

/** Values that a filter cannot have, in Docker's words. */
function checkFilterValues(filters: Filters): void {
  const refuse = (name: string, value: string, why: string) => badRequest(`invalid filter '${name}=${value}': ${why}`);
  for (const [name, what, known] of [
    ['status', 'state', statuses],
    ['health', 'health', healths],
  ] as const) {
    for (const value of filters.get(name) ?? []) {
      if (!known.includes(value))
        throw refuse(name, value, `invalid value for ${what} (${value}): must be one of ${known.join(', ')}`);
    }
  }
  for (const value of filters.get('exited') ?? []) {
    if (!/^[+-]?\d+$/.test(value)) throw refuse('exited', value, `strconv.Atoi: parsing "${value}": invalid syntax`);
  }
  for (const name of ['publish', 'expose']) {
    for (const value of filters.get(name) ?? []) parsePortRange(name, value);
  }
  for (const value of filters.get('is-task') ?? []) booleanFilter('is-task', value);
}

interface PortRange {
  readonly first: number;
  readonly last: number;
  readonly protocol: string;
}

/** `80`, `80/udp`, `80-90/tcp`. */
function parsePortRange(filter: string, text: string): PortRange {
  const [ports = '', protocol = 'tcp'] = text.split('/');
  const [first = '', last = first] = ports.split('-');
  for (const port of [first, last]) {
    if (!/^\d+$/.test(port) || Number(port) > 65535)
      throw badRequest(
        `error while looking up for ${filter} ${text}: strconv.ParseUint: parsing "${port}": ${/^\d+$/.test(port) ? 'value out of range' : 'invalid syntax'}`,
      );
  }
  return { first: Number(first), last: Number(last), protocol };
}

function createdBounds(engine: Engine, filters: Filters): { before: string; after: string } {
  const created = (name: string) =>
    (filters.get(name) ?? []).map((reference) => engine.containers.get(reference).record.created).sort();
  return { before: created('before')[0] ?? '\uffff', after: created('since').at(-1) ?? '' };
}

function matchesFilters(engine: Engine, container: Container, filters: Filters): boolean {
  const { record } = container;
  const any = (name: string, test: (value: string) => boolean) => filters.get(name)?.some(test) ?? true;
  return (
    any('id', (id) => record.id.startsWith(id)) &&
    any('name', (name) => matchesName(record.name, name)) &&
    any('status', (status) => record.state.status === status) &&
    any('exited', (code) => record.state.status === 'exited' && record.state.exitCode === Number(code)) &&
    any('health', (health) => (record.state.health?.Status ?? 'none') === health) &&
    any('network', (network) =>
      Object.values(record.endpoints).some(
        (endpoint) => endpoint.networkName === network || endpoint.networkId.startsWith(network),
      ),
    ) &&
    any('volume', (volume) =>
      record.mounts.some((mount) => mount.name === volume || mount.destination === volume || mount.source === volume),
    ) &&
    any('ancestor', (image) => engine.images.find(image)?.id === record.imageId) &&
    // As they are now: of a container that does not run, no port is published or exposed.
    any('publish', (text) => {
      const range = parsePortRange('publish', text);
      return Object.entries(record.ports).some(([key, bindings]) =>
        bindings?.some(({ HostPort: port = '' }) => isWithin(range, Number(port), key.split('/')[1])),
      );
    }) &&
    any('expose', (text) => {
      const range = parsePortRange('expose', text);
      return Object.keys(record.ports).some((key) => isWithin(range, Number(key.split('/')[0]), key.split('/')[1]));
    }) &&
    any('is-task', (value) => !booleanFilter('is-task', value)) &&
    any('isolation', (value) => value === 'default' || value === '') &&
    matchesLabels(filters.get('label'), record.config.Labels)
  );
}

/** Docker matches the filter as a regular expression against the name with and without its slash. */
function matchesName(name: string, filter: string): boolean {
  try {
    const pattern = new RegExp(filter);
    return pattern.test(name) || pattern.test(`/${name}`);
  } catch {
    return name.includes(filter);
  }
}

function isWithin({ first, last, protocol }: PortRange, port: number, ofProtocol: string | undefined): boolean {
  return port >= first && port <= last && protocol === ofProtocol;
}

function summarize(engine: Engine, record: ContainerRecord): object {
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: shownImage(engine, record),
    ImageID: record.imageId,
    Command: [record.path, ...record.args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg))].join(' '),
    Created: unixSeconds(record.created),
    Ports: summarizePorts(record),
    Labels: record.config.Labels,
    State: record.state.status,
    Status: statusText(record.state),
    HostConfig: { NetworkMode: record.hostConfig.NetworkMode },
    NetworkSettings: {
      Networks: Object.fromEntries(
        Object.entries(record.endpoints)
          .filter(([, endpoint]) => !endpoint.hidden)
          .map(([name, endpoint]) => [name, inspectEndpoint(endpoint)]),
      ),
    },
    Mounts: record.mounts.map(inspectMount),
  };
}

/** The name that the container was made from, while it still means the same image. */
function shownImage(engine: Engine, record: ContainerRecord): string {
  return engine.images.find(record.config.Image)?.id === record.imageId ? record.config.Image : record.imageId;
}

function summarizePorts(record: ContainerRecord): object[] {
  return Object.entries(record.ports).flatMap(([key, bindings]) => {
    const [port, type] = key.split('/');
    const base = { PrivatePort: Number(port), Type: type };
    if (bindings === null || bindings.length === 0) return [base];
    return bindings.map((binding) => ({ IP: binding.HostIp, ...base, PublicPort: Number(binding.HostPort) }));
  });
}

/** `Up 2 minutes (healthy)`, `Exited (0) 3 seconds ago`. */
export function statusText(state: ContainerState): string {
  const since = (timestamp: string) => humanDuration(Math.max(0, Date.now() / 1000 - unixSeconds(timestamp)));
  switch (state.status) {
    case 'created':
      return 'Created';
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
    case 'exited':
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'paused':
      return `Up ${since(state.startedAt)} (Paused)`;
    case 'running':
      return `Up ${since(state.startedAt)}${healthText(state)}`;
  }
}

function healthText({ health }: ContainerState): string {
  if (health === undefined) return '';
  return health.Status === 'starting' ? ' (health: starting)' : ` (${health.Status})`;
}
