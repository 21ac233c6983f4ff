/** `volume create`, `inspect`, `ls`, `rm`, `prune`, with the plugin calls that Docker makes for each. */
import { randomBytes } from 'node:crypto';
import { listPlugins, RemoteError, type Volume, type VolumeClient } from '../../plugins/sdk/index.ts';
import { ApiError, badRequest, conflict, notFound } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { anonymousLabel, type VolumeRecord } from './registry.ts';

export interface VolumeSpec {
  /** Undefined: an anonymous one. */
  readonly name: string | undefined;
  readonly driver: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** What the API shows of a volume. */
export interface ShownVolume {
  readonly CreatedAt: string;
  readonly Driver: string;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly Mountpoint: string;
  readonly Name: string;
  readonly Options: Readonly<Record<string, string>> | null;
  readonly Scope: string;
  readonly Status?: object;
}

export interface CreatedVolume {
  readonly record: VolumeRecord;
  /** What its driver says of it, when it was there before. */
  readonly present: Volume | undefined;
}

/** An existing volume of the same driver is the result; one of another driver is refused, after its driver has confirmed it. */
export async function createVolume(engine: Engine, spec: VolumeSpec): Promise<CreatedVolume> {
  const name = spec.name ?? randomBytes(32).toString('hex');
  const driver = spec.driver || engine.config.defaultVolumeDriver;
  return engine.volumes.locked(name, async () => {
    const known = engine.volumes.find(name);
    const plugin = await volumePlugin(engine, known?.driver ?? driver).catch((error: unknown) => {
      if (!(error instanceof ApiError)) throw error;
      throw new ApiError(error.statusCode, `create ${name}: ${lookUpText(known?.driver ?? driver, error)}`, {
        cause: error,
      });
    });
    const present = await findAtDriver(plugin, name);
    const isOthers = known !== undefined && spec.driver !== '' && !isSameDriver(engine, known.driver, driver);
    if (isOthers && present !== undefined) throw conflict(`create ${name}: conflict: volume name must be unique`);
    if (present === undefined) await remote(`create ${name}`, () => plugin.create({ name, options: spec.options }));
    if (known !== undefined && present !== undefined) return { record: known, present };
    const labels = spec.name === undefined ? { ...spec.labels, [anonymousLabel]: '' } : spec.labels;
    const record: VolumeRecord = {
      name,
      driver: known?.driver ?? driver,
      labels,
      options: spec.options,
      created: formatTimestamp(now()),
    };
    engine.volumes.put(record);
    emitVolumeEvent(engine, name, 'create', { driver: record.driver });
    return { record, present };
  });
}

/** `local` is the default driver's other name. */
function isSameDriver(engine: Engine, a: string, b: string): boolean {
  const named = (driver: string) => (driver === 'local' ? engine.config.defaultVolumeDriver : driver);
  return named(a) === named(b);
}

/** The answer to a create, without another question to the driver. */
export async function showCreated(engine: Engine, { record, present }: CreatedVolume): Promise<ShownVolume> {
  const { scope } = await volumeDriver(engine, record.driver);
  return show(present ?? { name: record.name }, record.driver, record, scope, true);
}

/** Throws Docker's 404. A name that only a driver knows is found by asking every driver. */
export async function inspectVolume(engine: Engine, name: string): Promise<ShownVolume> {
  const known = engine.volumes.find(name);
  for (const driver of known === undefined ? await volumeDrivers(engine) : [known.driver]) {
    const { volume: plugin, scope } = await volumeDriver(engine, driver);
    const volume = await findAtDriver(plugin, name);
    if (volume !== undefined) return show(volume, driver, known, scope, true);
  }
  // Gone behind our back: forgotten, as Docker does.
  if (known !== undefined) engine.volumes.delete(name);
  throw notFound(`get ${name}: no such volume`);
}

/** Exactly what the drivers list; one that does not answer is a warning, and its known volumes are shown. */
export async function listVolumes(engine: Engine): Promise<{ volumes: ShownVolume[]; warnings: string[] }> {
  const drivers = await volumeDrivers(engine);
  const lists = await Promise.all(drivers.map((driver) => listOf(engine, driver)));
  return { volumes: lists.flatMap(({ volumes }) => volumes), warnings: lists.flatMap(({ warnings }) => warnings) };
}

async function listOf(engine: Engine, driver: string): Promise<{ volumes: ShownVolume[]; warnings: string[] }> {
  const known = engine.volumes.list().filter((record) => record.driver === driver);
  try {
    const { volume: plugin, scope } = await volumeDriver(engine, driver);
    const listed = await plugin.list();
    const own = listed.filter(({ name }) => (engine.volumes.find(name)?.driver ?? driver) === driver);
    return {
      volumes: own.map((volume) => show(volume, driver, engine.volumes.find(volume.name), scope, false)),
      warnings: [],
    };
  } catch (error) {
    const volumes = known.map((record) => show({ name: record.name }, driver, record, 'local', false));
    return { volumes, warnings: [`list volumes of driver ${driver}: ${(error as Error).message}`] };
  }
}

/** With `force`, what is gone already is success, and the record goes even when the driver refuses. */
export async function removeVolume(engine: Engine, name: string, force: boolean): Promise<void> {
  const holders = engine.containers.list().filter(({ record }) => record.mounts.some((mount) => mount.name === name));
  await engine.volumes.locked(name, async () => {
    const shown = await inspectVolume(engine, name).catch((error: unknown) => {
      if (force) return undefined;
      throw error;
    });
    if (holders.length > 0) {
      throw conflict(`remove ${name}: volume is in use - [${holders.map((holder) => holder.id).join(', ')}]`);
    }
    if (shown !== undefined) {
      const plugin = await volumePlugin(engine, shown.Driver);
      await remote(`remove ${name}`, () => plugin.remove({ name })).catch((error: unknown) => {
        if (force) engine.volumes.delete(name);
        throw error;
      });
    }
    engine.volumes.delete(name);
    emitVolumeEvent(engine, name, 'destroy', { driver: shown?.Driver ?? '' });
  });
}

function lookUpText(driver: string, { message }: ApiError): string {
  return message.startsWith('error looking up') ? message : `error looking up volume plugin ${driver}: ${message}`;
}

/** Whatever text a driver refuses a Get with means that there is no such volume; a driver that does not answer is an error. */
export async function findAtDriver(plugin: VolumeClient, name: string): Promise<Volume | undefined> {
  try {
    return await plugin.get({ name });
  } catch (error) {
    if (error instanceof RemoteError) return undefined;
    throw error;
  }
}

export async function volumePlugin(engine: Engine, driver: string): Promise<VolumeClient> {
  return (await volumeDriver(engine, driver)).volume;
}

/** With its scope. */
async function volumeDriver(engine: Engine, driver: string): Promise<{ volume: VolumeClient; scope: string }> {
  return engine.plugins.volume(driver === 'local' ? engine.config.defaultVolumeDriver : driver);
}

/** What a plugin refuses, with the engine's prefix. */
export async function remote<T>(what: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof RemoteError) throw new ApiError(500, `${what}: ${error.line}`, { cause: error });
    throw error;
  }
}

/** Every plugin that is there and serves volumes; one that does not answer is left out after its name was known to serve them. */
async function volumeDrivers(engine: Engine): Promise<string[]> {
  const names = new Set([
    ...listPlugins(engine.plugins.directories),
    ...engine.volumes.list().map((record) => record.driver),
  ]);
  const checked = await Promise.all(
    [...names].map(async (name) => {
      if (engine.volumes.list().some((record) => record.driver === name)) return name;
      return (await engine.plugins.serves(name, 'volume')) ? name : undefined;
    }),
  );
  return checked.filter((name) => name !== undefined).sort();
}

function show(
  volume: Volume,
  driver: string,
  record: VolumeRecord | undefined,
  scope: string,
  withStatus: boolean,
): ShownVolume {
  return {
    CreatedAt: volume.createdAt?.toISOString() ?? record?.created ?? '',
    Driver: driver,
    Labels: nullWhenEmpty(record?.labels),
    Mountpoint: volume.mountpoint ?? '',
    Name: volume.name,
    Options: nullWhenEmpty(record?.options),
    Scope: scope,
    ...(withStatus && volume.status !== undefined ? { Status: volume.status } : {}),
  };
}

function nullWhenEmpty(map: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> | null {
  return map !== undefined && Object.keys(map).length > 0 ? map : null;
}

function emitVolumeEvent(
  engine: Engine,
  name: string,
  action: string,
  attributes: Readonly<Record<string, string>>,
): void {
  engine.events.emit({ Type: 'volume', Action: action, Actor: { ID: name, Attributes: attributes }, at: now() });
}

/** Docker's pattern for names that the user gives. */
export function checkVolumeName(name: string): void {
  if (name.length === 1)
    throw badRequest(`create ${name}: volume name is too short, names should be at least two alphanumeric characters`);
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) return;
  throw badRequest(
    `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
  );
}
