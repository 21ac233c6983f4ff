/** VolumeDriver on the wire. The driver's side is volume-plugin.ts. */
import { PluginError } from '../errors.ts';
import type { Scope } from '../network-plugin.ts';
import type { MountRequest, Volume, VolumeDriver } from '../volume-plugin.ts';
import { defineMethod, emptyReply, type Locks, type Method, refuseReply } from './method.ts';
import { present, type WireObject, WireReader } from './wire.ts';

/** What Go's time.Time reads from JSON: RFC 3339 §5.6 with a time zone. */
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

type Named = { readonly name: string };

function method<Request, Reply>(
  spec: Parameters<typeof defineMethod<VolumeDriver, Request, Reply>>[0],
): Method<VolumeDriver, Request, Reply> {
  return defineMethod(spec);
}

// Engines do not check the names of plugin volumes: the driver must, before it makes a path of one.
const decodeName = (body: WireReader): Named => ({ name: body.requiredText('Name') });
const encodeName = (request: Named): WireObject => ({ Name: request.name });
const volumeLocks = (request: Named): Locks => ({ exclusive: [`volume ${request.name}`] });

/** Podman sends one constant ID for everything, an engine 64 hex digits. */
const decodeMount = (body: WireReader): MountRequest => ({ ...decodeName(body), id: body.text('ID') });
const encodeMount = (request: MountRequest): WireObject => ({ Name: request.name, ID: request.id });

function encodeVolume(name: string, volume: Volume): WireObject {
  if (volume.createdAt !== undefined && Number.isNaN(volume.createdAt.getTime())) {
    refuseReply(name, `volume "${volume.name}" has an invalid creation time`);
  }
  return {
    Name: volume.name,
    Mountpoint: volume.mountpoint ?? '',
    ...present('CreatedAt', volume.createdAt?.toISOString()),
    ...present('Status', volume.status),
  };
}

function decodeVolume(volume: WireReader): Volume {
  const createdAt = volume.optionalText('CreatedAt');
  if (createdAt !== undefined && (!RFC_3339.test(createdAt) || Number.isNaN(Date.parse(createdAt)))) {
    volume.refuse('CreatedAt', 'a time of RFC 3339');
  }
  return {
    name: volume.requiredText('Name'),
    ...present('mountpoint', volume.optionalText('Mountpoint')),
    ...(createdAt === undefined ? {} : { createdAt: new Date(createdAt) }),
    ...(volume.raw('Status') === undefined ? {} : { status: volume.plain('Status') }),
  };
}

function decodeScope(body: WireReader): Scope {
  // Any case counts, and whatever is no scope counts as local.
  return body.object('Capabilities').text('Scope').toLowerCase() === 'global' ? 'global' : 'local';
}

export const volumeMethods = {
  capabilities: method<undefined, { readonly scope: Scope }>({
    name: 'VolumeDriver.Capabilities',
    encodeRequest: () => ({}),
    handler: (driver) => async () => driver.capabilities ?? { scope: 'local' },
    encodeReply: (reply) => ({ Capabilities: { Scope: reply.scope } }),
    decodeReply: (body) => ({ scope: decodeScope(body) }),
    fallback: { on: 'error', reply: { scope: 'local' } },
  }),
  create: method<Named & { readonly options: Readonly<Record<string, string>> }, void>({
    name: 'VolumeDriver.Create',
    decodeRequest: (body) => ({ ...decodeName(body), options: body.textMap('Opts') }),
    encodeRequest: (request) => ({
      Name: request.name,
      Opts: Object.keys(request.options).length > 0 ? request.options : null,
    }),
    handler: (driver) => driver.create.bind(driver),
    ...emptyReply,
    locks: volumeLocks,
  }),
  get: method<Named, Volume | undefined>({
    name: 'VolumeDriver.Get',
    decodeRequest: decodeName,
    encodeRequest: encodeName,
    handler: (driver) => driver.get.bind(driver),
    encodeReply: (reply, request) => {
      if (reply === undefined) throw new PluginError('VOL_NOT_FOUND', `no volume is named "${request.name}"`);
      if (reply.name !== request.name) {
        refuseReply('VolumeDriver.Get', `asked for volume "${request.name}", the driver answered "${reply.name}"`);
      }
      return { Volume: encodeVolume('VolumeDriver.Get', reply) };
    },
    decodeReply: (body) => {
      const volume = body.optionalObject('Volume');
      return volume === undefined ? undefined : decodeVolume(volume);
    },
  }),
  list: method<undefined, readonly Volume[]>({
    name: 'VolumeDriver.List',
    encodeRequest: () => ({}),
    handler: (driver) => (_, signal) => driver.list(signal),
    encodeReply: (reply) => ({ Volumes: reply.map((volume) => encodeVolume('VolumeDriver.List', volume)) }),
    // A volume that is null is left out, as the engine does.
    decodeReply: (body) =>
      body
        .list('Volumes')
        .filter((volume) => volume !== null)
        .map((volume, index) => decodeVolume(new WireReader('VolumeDriver.List', volume, `Volumes[${index}]`))),
  }),
  mount: method<MountRequest, string>({
    name: 'VolumeDriver.Mount',
    decodeRequest: decodeMount,
    encodeRequest: encodeMount,
    handler: (driver) => driver.mount.bind(driver),
    // 20.10 starts the container without the volume when the path is empty.
    encodeReply: (path, request) =>
      path.startsWith('/')
        ? { Mountpoint: path }
        : refuseReply('VolumeDriver.Mount', `mountpoint "${path}" of volume "${request.name}" is no absolute path`),
    decodeReply: (body) => body.absolutePath('Mountpoint'),
    locks: volumeLocks,
  }),
  unmount: method<MountRequest, void>({
    name: 'VolumeDriver.Unmount',
    decodeRequest: decodeMount,
    encodeRequest: encodeMount,
    handler: (driver) => driver.unmount?.bind(driver) ?? (async () => undefined),
    ...emptyReply,
    locks: volumeLocks,
  }),
  path: method<Named, string | undefined>({
    name: 'VolumeDriver.Path',
    decodeRequest: decodeName,
    encodeRequest: encodeName,
    handler: (driver) =>
      driver.path?.bind(driver) ?? (async (request, signal) => (await driver.get(request, signal))?.mountpoint),
    encodeReply: (path) => ({ Mountpoint: path ?? '' }),
    decodeReply: (body) => body.optionalText('Mountpoint'),
  }),
  remove: method<Named, void>({
    name: 'VolumeDriver.Remove',
    decodeRequest: decodeName,
    encodeRequest: encodeName,
    handler: (driver) => driver.remove.bind(driver),
    ...emptyReply,
    locks: volumeLocks,
  }),
} as const;
