/**
 * The mounts that a new container asks for, from all the places where the API lets users say so, in the order in which they
 * win: Binds and Mounts, VolumesFrom, Tmpfs, then Volumes of the image and the user (anonymous).
 */
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import { badRequest, conflict } from '../api/api-error.ts';
import type { ContainerConfig, HostConfig, MountConfig, MountRecord } from '../container/record.ts';
import type { Engine } from '../engine.ts';
import { checkVolumeName, createVolume } from './volumes.ts';

const propagations = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];

/** Volumes that do not exist yet are made. Throws Docker's 400s. */
export async function resolveMountPoints(
  engine: Engine,
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
  for (const bind of hostConfig.Binds ?? []) add(await parseBind(engine, bind, hostConfig.VolumeDriver), true);
  for (const mount of hostConfig.Mounts ?? []) add(await fromMountConfig(engine, mount), true);
  for (const [destination, options] of Object.entries(hostConfig.Tmpfs ?? {}))
    add(tmpfs(destination, options.split(',').filter(Boolean)), true);
  for (const mount of mountsFrom(engine, hostConfig.VolumesFrom ?? [])) add(mount, false);
  for (const destination of Object.keys(config.Volumes ?? {})) {
    if (!mounts.has(cleanDestination(destination)))
      add(
        await namedVolume(engine, {
          name: undefined,
          driver: hostConfig.VolumeDriver,
          destination,
          mode: '',
          rw: true,
        }),
        false,
      );
  }
  return [...mounts.values()].sort((a, b) => depth(a.destination) - depth(b.destination));
}

function depth(path: string): number {
  return path.split('/').length;
}

/** `[source:]destination[:mode]`. */
async function parseBind(engine: Engine, text: string, volumeDriver: string): Promise<MountRecord> {
  const parts = text.split(':');
  if (parts.length > 3 || parts.some((part) => part === ''))
    throw badRequest(`invalid volume specification: '${text}'`);
  const [source, destination, mode = ''] = parts.length === 1 ? [undefined, parts[0] ?? '', ''] : parts;
  const words = mode === '' ? [] : mode.split(',');
  for (const word of words) {
    if (!['rw', 'ro', 'z', 'Z', 'nocopy', ...propagations].includes(word)) throw badRequest(`invalid mode: ${mode}`);
  }
  const rw = !words.includes('ro');
  const propagation = words.find((word) => propagations.includes(word));
  if (source === undefined || !source.startsWith('/')) {
    if (source !== undefined) checkVolumeName(source);
    return namedVolume(engine, {
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

async function fromMountConfig(engine: Engine, mount: MountConfig): Promise<MountRecord> {
  const rw = mount.ReadOnly !== true;
  const { Source: source = '', Target: destination } = mount;
  switch (mount.Type) {
    case 'bind':
      if (!source.startsWith('/'))
        throw badRequest(
          `invalid mount config for type "bind": invalid mount path: '${source}' mount path must be absolute`,
        );
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
      if (source !== '') checkVolumeName(source);
      const options = mount.VolumeOptions ?? {};
      return namedVolume(engine, {
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
      if (source !== '') throw badRequest('invalid mount config for type "tmpfs": field Source must not be specified');
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
      throw badRequest(
        `invalid mount config for type "${mount.Type}": mount type unknown; bind, volume and tmpfs are supported`,
      );
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
  const volume = await createVolume(engine, {
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
    mountId: randomBytes(32).toString('hex'),
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
    if (mode !== 'ro' && mode !== 'rw') throw badRequest(`invalid mode for volumes-from: ${mode}`);
    const source = engine.containers.find(name);
    // Not 404: that would be the image.
    if (source === undefined) throw badRequest(`No such container: ${name}`);
    return source.record.mounts
      .filter((mount) => mount.type !== 'tmpfs')
      .map(({ anonymous: _theirs, mountId: _id, ...mount }) => ({
        ...mount,
        rw: mount.rw && mode === 'rw',
        ...(mount.type === 'volume' ? { mountId: randomBytes(32).toString('hex') } : {}),
      }));
  });
}

function cleanDestination(path: string): string {
  if (!path.startsWith('/'))
    throw badRequest(`invalid mount config: invalid mount path: '${path}' mount path must be absolute`);
  const clean = posix.normalize(path).replace(/(.)\/$/, '$1');
  if (clean === '/')
    throw conflict(
      `invalid volume specification: '${path}': invalid mount config: invalid specification: destination can't be '/'`,
    );
  return clean;
}
