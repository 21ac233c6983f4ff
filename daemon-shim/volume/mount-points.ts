/**
 * The mounts that a new container asks for, from all the places where the API lets users say so, in the order in which they
 * win: Binds and Mounts, VolumesFrom, Tmpfs, then Volumes of the image and the user (anonymous).
 */
import { posix } from 'node:path';
import { ApiError, badRequest } from '../api/api-error.ts';
import type { ContainerConfig, HostConfig, MountConfig, MountRecord } from '../container/record.ts';
import type { Engine } from '../engine.ts';
import { checkMount, propagations } from './check-mount.ts';
import { createVolume, removeVolume } from './volumes.ts';

/** Makes the volume of a mount where there is none yet. */
type MakeVolume = (mount: VolumeMount) => Promise<MountRecord>;

/** Volumes that do not exist yet are made; when it fails, the anonymous ones are gone again. Throws Docker's 400s. */
export async function resolveMountPoints(
  engine: Engine,
  config: ContainerConfig,
  hostConfig: HostConfig,
): Promise<MountRecord[]> {
  const anonymous: string[] = [];
  const makeVolume: MakeVolume = async (mount) => {
    const made = await namedVolume(engine, mount);
    if (mount.name === undefined && made.name !== undefined) anonymous.push(made.name);
    return made;
  };
  try {
    return await collectMounts(engine, makeVolume, config, hostConfig);
  } catch (error) {
    for (const name of anonymous)
      await removeVolume(engine, name, true).catch((failure: unknown) =>
        engine.log.warn(
          { err: failure, volume: name },
          'removing the anonymous volume of a container that was refused',
        ),
      );
    throw error;
  }
}

async function collectMounts(
  engine: Engine,
  makeVolume: MakeVolume,
  config: ContainerConfig,
  hostConfig: HostConfig,
): Promise<MountRecord[]> {
  const mounts = new Map<string, MountRecord>();
  const add = (mount: MountRecord, replace: boolean) => {
    if (mounts.has(mount.destination)) {
      if (replace) throw badRequest(`Duplicate mount point: ${mount.destination}`);
      return;
    }
    mounts.set(mount.destination, mount);
  };
  for (const bind of hostConfig.Binds ?? []) add(await parseBind(makeVolume, bind, hostConfig.VolumeDriver), true);
  for (const mount of hostConfig.Mounts ?? []) add(await fromMountConfig(makeVolume, mount), true);
  for (const [destination, options] of Object.entries(hostConfig.Tmpfs ?? {}))
    add(tmpfs(destination, options.split(',').filter(Boolean)), true);
  for (const mount of mountsFrom(engine, hostConfig.VolumesFrom ?? [])) add(mount, false);
  for (const destination of Object.keys(config.Volumes ?? {})) {
    if (!mounts.has(cleanDestination(destination)))
      add(
        await makeVolume({
          name: undefined,
          driver: hostConfig.VolumeDriver,
          destination,
          mode: '',
          rw: true,
        }),
        false,
      );
  }
  return [...mounts.values()].sort((a, b) => mountDepth(a.destination) - mountDepth(b.destination));
}

/** What is mounted below something else has more. */
export function mountDepth(path: string): number {
  return path.split('/').length;
}

/** `[source:]destination[:mode]`. */
async function parseBind(makeVolume: MakeVolume, text: string, volumeDriver: string): Promise<MountRecord> {
  const parts = text.split(':');
  const refuse = (why: string) => badRequest(`invalid volume specification: '${text}'${why}`);
  if (parts.length > 3 || parts.some((part) => part === '')) throw refuse('');
  const [source, destination, mode = ''] = parts.length === 1 ? [undefined, parts[0] ?? '', ''] : parts;
  const words = mode === '' ? [] : mode.split(',');
  if (!isBindMode(words)) throw badRequest(`invalid mode: ${mode}`);
  const rw = !words.includes('ro');
  const propagation = words.find((word) => propagations.includes(word));
  const isVolume = source === undefined || !source.startsWith('/');
  const spec = { Target: destination ?? '', ...(source === undefined ? {} : { Source: source }) };
  try {
    checkMount(
      isVolume ? { ...spec, Type: 'volume' } : { ...spec, Type: 'bind', BindOptions: { CreateMountpoint: true } },
    );
  } catch (error) {
    if (error instanceof ApiError && error.message.startsWith('invalid mount config'))
      throw refuse(`: ${error.message}`);
    throw error;
  }
  if (isVolume) {
    return makeVolume({
      name: source,
      driver: volumeDriver,
      destination: destination ?? '',
      mode: mode || 'z',
      rw,
      noCopy: words.includes('nocopy'),
    });
  }
  return {
    type: 'bind',
    source: posix.normalize(source),
    destination: cleanDestination(destination ?? ''),
    mode,
    rw,
    propagation: propagation ?? 'rprivate',
    spec: { Type: 'bind', Target: destination ?? '', BindOptions: { CreateMountpoint: true } },
  };
}

/** At most one word of each kind, and no others. */
function isBindMode(words: readonly string[]): boolean {
  const kinds = [['rw', 'ro'], ['z', 'Z'], ['nocopy'], propagations];
  const count = (kind: readonly string[]) => words.filter((word) => kind.includes(word)).length;
  return kinds.every((kind) => count(kind) <= 1) && words.every((word) => kinds.some((kind) => kind.includes(word)));
}

async function fromMountConfig(makeVolume: MakeVolume, mount: MountConfig): Promise<MountRecord> {
  checkMount(mount);
  const rw = mount.ReadOnly !== true;
  const { Source: source = '', Target: destination } = mount;
  switch (mount.Type) {
    case 'bind':
      return {
        type: 'bind',
        source,
        destination: cleanDestination(destination),
        mode: '',
        rw,
        propagation: mount.BindOptions?.Propagation || 'rprivate',
        spec: mount,
      };
    case 'volume': {
      const options = mount.VolumeOptions ?? {};
      return makeVolume({
        name: source || undefined,
        driver: options.DriverConfig?.Name ?? '',
        options: options.DriverConfig?.Options ?? {},
        labels: options.Labels ?? {},
        destination,
        mode: 'z',
        rw,
        noCopy: options.NoCopy === true,
        ...(options.Subpath ? { subpath: options.Subpath } : {}),
        spec: mount,
      });
    }
    case 'tmpfs': {
      const { SizeBytes: size, Mode: mode, Options: more = [] } = mount.TmpfsOptions ?? {};
      const options = [
        ...(size ? [`size=${size}`] : []),
        ...(mode ? [`mode=${mode.toString(8)}`] : []),
        ...(rw ? [] : ['ro']),
        ...more.map((pair) => pair.join('=')),
      ];
      return { ...tmpfs(destination, options), spec: mount };
    }
    default:
      throw badRequest(`invalid mount config for type "${mount.Type}": mount type unknown`);
  }
}

interface VolumeMount {
  readonly name: string | undefined;
  readonly driver: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly destination: string;
  readonly mode: string;
  readonly rw: boolean;
  readonly noCopy?: boolean;
  readonly subpath?: string;
  readonly spec?: MountConfig;
}

async function namedVolume(engine: Engine, mount: VolumeMount): Promise<MountRecord> {
  const destination = cleanDestination(mount.destination);
  const { record: volume } = await createVolume(engine, {
    name: mount.name,
    driver: mount.driver,
    options: mount.options ?? {},
    labels: mount.labels ?? {},
  });
  return {
    type: 'volume',
    name: volume.name,
    driver: volume.driver,
    source: '',
    destination,
    mode: mount.mode,
    rw: mount.rw,
    propagation: '',
    ...(mount.name === undefined ? { anonymous: true } : {}),
    ...(mount.noCopy ? { noCopy: true } : {}),
    ...(mount.subpath ? { subpath: mount.subpath } : {}),
    ...(mount.spec ? { spec: mount.spec } : {}),
  };
}

function tmpfs(destination: string, options: readonly string[]): MountRecord {
  return {
    type: 'tmpfs',
    source: '',
    destination: cleanDestination(destination),
    mode: '',
    rw: !options.includes('ro'),
    propagation: '',
    tmpfsOptions: options,
  };
}

/** `container[:ro|rw]`: its volumes and binds, with mount IDs of our own. */
function mountsFrom(engine: Engine, references: readonly string[]): MountRecord[] {
  return references.flatMap((reference) => {
    const [name = '', mode = 'rw'] = reference.split(':');
    if (mode !== 'ro' && mode !== 'rw') throw badRequest(`invalid mode: ${mode}`);
    const source = engine.containers.find(name);
    // Not 404: that would be the image.
    if (source === undefined) throw badRequest(`No such container: ${name}`);
    return source.record.mounts
      .filter((mount) => mount.type !== 'tmpfs')
      .map(({ anonymous: _theirs, mountId: _id, ...mount }) => ({
        ...mount,
        rw: mount.rw && mode === 'rw',
        // Where it is mounted for the other is none of ours.
        ...(mount.type === 'volume' ? { source: '' } : {}),
      }));
  });
}

function cleanDestination(path: string): string {
  if (!path.startsWith('/')) throw badRequest(`invalid mount path: '${path}' mount path must be absolute`);
  const clean = posix.normalize(path).replace(/(.)\/$/, '$1');
  if (clean === '/') throw badRequest("invalid specification: destination can't be '/'");
  return clean;
}
