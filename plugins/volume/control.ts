/** What the `cleat` command asks of the daemon, on its control socket. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { PluginError } from '../sdk/errors.ts';
import type { CommonConfig } from './common-options.ts';
import { labelsOf } from './common-options.ts';
import { identifyProcess } from './process-holds.ts';
import type { VolumeRecord } from './records.ts';
import type { VolumeUser } from './users.ts';
import type { DriverVolumes } from './volume-driver.ts';

type AnyVolumes = DriverVolumes<CommonConfig>;

/** One volume in GET /volumes. */
export interface VolumeSummary {
  readonly driver: string;
  readonly name: string;
  readonly health: string;
  readonly holders: number;
  readonly mountpoint: string;
  readonly createdAt: string;
  readonly usedBytes?: number;
  readonly usedInodes?: number;
  readonly limitBytes?: number;
  readonly limitInodes?: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** GET /volumes/DRIVER/NAME. */
export interface VolumeDetails extends VolumeSummary {
  readonly status: Readonly<Record<string, unknown>>;
  /** As given, secrets included: the socket is root's. */
  readonly options: Readonly<Record<string, string>>;
  readonly users: readonly VolumeUser[];
  /** Whether its data goes when the volume does. */
  readonly ownsData: boolean;
}

/** Requests that hold a volume carry the process to hold it for. */
interface HoldBody {
  readonly pid: number;
}

interface CreateBody {
  readonly options: Readonly<Record<string, string>>;
}

type VolumePath = { Params: { driver: string; name: string } };

export function addControlRoutes(app: FastifyInstance, all: readonly AnyVolumes[]): void {
  const find = (request: FastifyRequest<VolumePath>): AnyVolumes => {
    const found = all.find(({ backend }) => backend.driver === request.params.driver);
    if (found === undefined)
      throw new PluginError('VOL_NOT_FOUND', `no volume driver is named "${request.params.driver}"`);
    return found;
  };
  const signal = (): AbortSignal => new AbortController().signal;

  app.get('/status', async () => ({ volumes: all.flatMap(summaries) }));
  app.get('/volumes', async () => all.flatMap(summaries));
  /** The same after measuring: may take as long as walking through the data does. */
  app.post('/volumes/measure', async () => {
    await Promise.all(all.map((volumes) => volumes.usage.measureAll()));
    return all.flatMap(summaries);
  });
  app.get<VolumePath>('/volumes/:driver/:name', async (request) => details(find(request), request.params.name));
  app.put<VolumePath & { Body: CreateBody }>('/volumes/:driver/:name', async (request) => {
    await find(request).create({ name: request.params.name, options: request.body.options }, signal());
    return {};
  });
  app.delete<VolumePath>('/volumes/:driver/:name', async (request) => {
    await find(request).remove({ name: request.params.name });
    return {};
  });
  app.post<VolumePath & { Body: HoldBody }>('/volumes/:driver/:name/hold', async (request) => {
    const process = identifyProcess(request.body.pid);
    if (process === undefined) throw new PluginError('PROTO_BODY', `there is no process ${request.body.pid}`);
    const id = commandId(request.body);
    return { path: await find(request).hold({ name: request.params.name, id }, signal(), process) };
  });
  app.post<VolumePath & { Body: HoldBody }>('/volumes/:driver/:name/release', async (request) => {
    await find(request).unmount({ name: request.params.name, id: commandId(request.body) });
    return {};
  });
  app.get('/purge', async () => all.flatMap((volumes) => purgeItems(volumes)));
  app.post('/purge', async () => {
    await Promise.all(
      all.flatMap((volumes) => volumes.records.all().map((record) => volumes.attachments.detachSoon(record.name))),
    );
    return all.flatMap((volumes) => purgeItems(volumes));
  });
}

function commandId({ pid }: HoldBody): string {
  return `cleat-command-${pid}`;
}

function summaries(volumes: AnyVolumes): readonly VolumeSummary[] {
  return volumes.records
    .all()
    .filter(({ state }) => state === 'ready')
    .map((record) => summary(volumes, record));
}

function summary(volumes: AnyVolumes, record: VolumeRecord): VolumeSummary {
  const { usage, health = 'idle' } = volumes.health.get(record.name) ?? {};
  const { at: _, ...figures } = usage ?? { at: undefined };
  return {
    driver: volumes.backend.driver,
    name: record.name,
    health,
    holders: record.holds.length,
    mountpoint: volumes.attachments.path(record) ?? '',
    createdAt: record.createdAt,
    ...figures,
    labels: labelsOf(volumes.volume(record).config),
  };
}

async function details(volumes: AnyVolumes, name: string): Promise<VolumeDetails> {
  const record = volumes.require(name);
  const volume = await volumes.get({ name });
  return {
    ...summary(volumes, record),
    status: volume?.status ?? {},
    options: record.options,
    users: volumes.attachments.users(record),
    ownsData: volumes.backend.ownsData(volumes.volume(record).config),
  };
}

/** Mounts go when nobody holds them; data never goes by a purge. */
function purgeItems(volumes: AnyVolumes): readonly { kind: string; name: string; kept?: string }[] {
  const { driver } = volumes.backend;
  return volumes.records.all().flatMap((record) => {
    const name = `${driver}/${record.name}`;
    const data = {
      kind: 'volume',
      name,
      kept: 'volumes hold data; remove them with `cleat volume prune` or by the engine',
    };
    if (volumes.attachments.path(record) === undefined) return [data];
    const held = record.holds.length > 0 ? { kept: `${record.holds.length} holders` } : {};
    return [{ kind: 'mount', name, ...held }, data];
  });
}
