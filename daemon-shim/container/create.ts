/** `create`: the client's configuration and the image's become a record; nothing runs yet. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { badRequest } from '../api/api-error.ts';
import { logPluginName } from '../config/log-drivers.ts';
import type { Engine } from '../engine.ts';
import { type ImageConfig, type ImageRecord, readConfiguration } from '../image/image-store.ts';
import { checkPlatform } from '../image/platform.ts';
import { checkLogging } from '../log/check-logging.ts';
import { chooseCapabilities } from '../runtime/capabilities.ts';
import { parseDeviceRule } from '../runtime/device.ts';
import { containerOfMode, defaultCgroupNamespace } from '../runtime/namespaces.ts';
import { isUnifiedCgroup, swapIsCounted } from '../runtime/resources.ts';
import { parseSecurityOptions } from '../runtime/security-options.ts';
import { defaultMaskedPaths, defaultReadonlyPaths } from '../runtime/spec.ts';
import { portsOf } from '../sandbox/ports.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { resolveMountPoints } from '../volume/mount-points.ts';
import { copyUpVolumes } from '../volume/mount-volumes.ts';
import { chooseRuntime } from './choose-runtime.ts';
import { decodeContainerConfig, decodeHostConfig } from './decode-config.ts';
import { endpointsOf, resolveNetworkMode } from './endpoints.ts';
import { mergeEnvironment } from './environment.ts';
import { emitContainerEvent } from './event.ts';
import { containerFolder } from './folder.ts';
import { checkLinks } from './links.ts';
import { randomName } from './name.ts';
import { type ContainerConfig, type HostConfig, never } from './record.ts';
import type { Container } from './registry.ts';
import { removeStopped } from './remove-stopped.ts';
import { holdRoot, releaseRoot } from './root-mount.ts';
import { checkConfig } from './validate.ts';

export interface CreateRequest {
  /** Undefined: a name is made up. */
  readonly name: string | undefined;
  /** `linux/amd64`; the image must be of it. */
  readonly platform?: string | undefined;
  /** The request body, as it came. */
  readonly body: unknown;
}

export interface CreateResult {
  readonly container: Container;
  readonly warnings: readonly string[];
}

export async function createContainer(engine: Engine, request: CreateRequest): Promise<CreateResult> {
  const given = decodeContainerConfig(request.body);
  const asked = decodeHostConfig(request.body);
  const warnings = checkConfig(given, asked);
  const hostConfig = withDefaults(engine, withLogDefaults(engine, resolveNetworkMode(engine, asked)));
  if (request.name !== undefined) engine.containers.checkName(request.name);
  const image = engine.images.get(given.Image);
  checkPlatform(image, given.Image, request.platform);
  const id = randomBytes(32).toString('hex');
  const config = mergeImageConfig({ ...given, Hostname: hostnameOf(engine, given, hostConfig) }, image, id);
  await checkEarly(engine, config, hostConfig);
  const [path, ...args] = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (path === undefined || path === '') throw badRequest('no command specified');
  const name = request.name ?? randomName((candidate) => engine.containers.find(candidate) !== undefined);
  const endpoints = endpointsOf(engine, hostConfig.NetworkMode, request.body);
  const mounts = await resolveMountPoints(engine, config, hostConfig);
  // Nothing may be made on disk before all this; the name may have been taken while volumes were made.
  engine.containers.checkName(name);
  // And the image may have been removed.
  engine.images.getById(image.id);
  const container = engine.containers.add({
    id,
    name,
    created: formatTimestamp(now()),
    path,
    args,
    config,
    hostConfig,
    imageId: image.id,
    state: {
      status: 'created',
      pid: 0,
      exitCode: 0,
      oomKilled: false,
      error: '',
      startedAt: never,
      finishedAt: never,
      restartCount: 0,
      manuallyStopped: false,
    },
    mounts,
    endpoints,
    ports: {},
  });
  mkdirSync(containerFolder(engine.config, id).data, { recursive: true, mode: 0o710 });
  await fillVolumes(engine, container);
  emitContainerEvent(engine, container, 'create');
  return { container, warnings };
}

/** What the image has where a volume goes is copied; a failure takes the container back. */
async function fillVolumes(engine: Engine, container: Container): Promise<void> {
  if (!container.record.mounts.some((mount) => mount.type === 'volume' && !mount.noCopy)) return;
  const root = holdRoot(engine, container);
  try {
    await copyUpVolumes(engine, container, root);
  } catch (error) {
    releaseRoot(engine, container);
    await removeStopped(engine, container, { force: true, volumes: true });
    throw error;
  }
  releaseRoot(engine, container);
}

/** The default driver brings its own options; those of the user win. */
function withLogDefaults(engine: Engine, hostConfig: HostConfig): HostConfig {
  const { Config: given } = hostConfig.LogConfig;
  const type = logPluginName(hostConfig.LogConfig.Type);
  const { logDriver, logOpts } = engine.config;
  if (type !== '' && type !== logDriver) return { ...hostConfig, LogConfig: { Type: type, Config: given } };
  return { ...hostConfig, LogConfig: { Type: logDriver, Config: { ...logOpts, ...given } } };
}

/** What inspect shows of options that were not given, as Docker fills them in. */
function withDefaults(engine: Engine, hostConfig: HostConfig): HostConfig {
  const { Privileged: privileged, Memory, MemorySwap } = hostConfig;
  const joined = (mode: string) => {
    const other = containerOfMode(mode);
    if (other === undefined) return mode;
    const target = engine.containers.find(other);
    // Not 404: that would be the image.
    if (target === undefined) throw badRequest(`No such container: ${other}`);
    return `container:${target.id}`;
  };
  return {
    ...hostConfig,
    IpcMode: joined(hostConfig.IpcMode || engine.config.defaultIpcMode),
    PidMode: joined(hostConfig.PidMode),
    CgroupnsMode: hostConfig.CgroupnsMode || engine.config.defaultCgroupnsMode || defaultCgroupNamespace(privileged),
    MemorySwap: Memory > 0 && MemorySwap === 0 && swapIsCounted() ? Memory * 2 : MemorySwap,
    MemorySwappiness: (hostConfig.MemorySwappiness ?? -1) === -1 ? null : (hostConfig.MemorySwappiness ?? null),
    DeviceRequests: hostConfig.DeviceRequests ?? null,
    OomKillDisable: hostConfig.OomKillDisable ?? (isUnifiedCgroup() ? null : false),
    PidsLimit: hostConfig.PidsLimit === 0 ? null : (hostConfig.PidsLimit ?? null),
    ShmSize: hostConfig.ShmSize || engine.config.defaultShmSize,
    Runtime: hostConfig.Runtime || engine.config.defaultRuntime,
    RestartPolicy: { ...hostConfig.RestartPolicy, Name: hostConfig.RestartPolicy.Name || 'no' },
    MaskedPaths: privileged ? null : (hostConfig.MaskedPaths ?? defaultMaskedPaths),
    ReadonlyPaths: privileged ? null : (hostConfig.ReadonlyPaths ?? defaultReadonlyPaths),
  };
}

/** Containers that share the host's or another one's names have its host name. */
function hostnameOf(engine: Engine, { Hostname }: ContainerConfig, { NetworkMode, UTSMode }: HostConfig): string {
  const other = containerOfMode(NetworkMode);
  if (other !== undefined) return engine.containers.find(other)?.record.config.Hostname ?? '';
  return Hostname || (NetworkMode === 'host' || UTSMode === 'host' ? hostname() : '');
}

/** What would fail at each start is said at create, as Docker does. */
async function checkEarly(engine: Engine, config: ContainerConfig, hostConfig: HostConfig): Promise<void> {
  chooseRuntime(engine, hostConfig.Runtime);
  parseSecurityOptions(hostConfig.SecurityOpt ?? [], engine.config);
  chooseCapabilities({
    privileged: hostConfig.Privileged,
    add: hostConfig.CapAdd ?? [],
    drop: hostConfig.CapDrop ?? [],
  });
  for (const rule of hostConfig.DeviceCgroupRules ?? []) parseDeviceRule(rule);
  portsOf({ config, hostConfig });
  checkLinks(engine, hostConfig.Links ?? []);
  await checkLogging(engine, hostConfig.LogConfig);
}

/** The user's fields win; environment, labels, ports and volumes are joined. */
function mergeImageConfig(given: ContainerConfig, image: ImageRecord, id: string): ContainerConfig {
  const base: ImageConfig = readConfiguration(image).config ?? {};
  const entrypointGiven = given.Entrypoint !== null && given.Entrypoint.length > 0;
  // `--entrypoint ""`: the image's is taken away.
  const noEntrypoint = given.Entrypoint?.length === 1 && given.Entrypoint[0] === '';
  return {
    ...given,
    Hostname: given.Hostname || id.slice(0, 12),
    User: given.User || (base.User ?? ''),
    WorkingDir: given.WorkingDir || (base.WorkingDir ?? ''),
    Env: mergeEnvironment(base.Env ?? [], given.Env),
    // An entrypoint of the user's drops the image's command too.
    Entrypoint: entrypointGiven ? (noEntrypoint ? null : given.Entrypoint) : (base.Entrypoint ?? null),
    Cmd: given.Cmd !== null && given.Cmd.length > 0 ? given.Cmd : entrypointGiven ? null : (base.Cmd ?? null),
    Labels: { ...base.Labels, ...given.Labels },
    ...optional('ExposedPorts', { ...base.ExposedPorts, ...given.ExposedPorts }),
    ...optional('Volumes', { ...base.Volumes, ...given.Volumes }),
    ...optional('StopSignal', given.StopSignal || base.StopSignal),
    ...optional('Healthcheck', given.Healthcheck ?? base.Healthcheck),
    ...optional('Shell', given.Shell ?? base.Shell),
  };
}

function optional<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  const empty = value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
  return empty ? {} : ({ [key]: value } as Partial<Record<K, V>>);
}
