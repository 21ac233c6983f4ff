/** `docker commit`: what a container changed becomes a layer on top of its image's. */
import { mkdirSync } from 'node:fs';
import { ApiError } from '../api/api-error.ts';
import { archiveTree } from '../archive/tree-archive.ts';
import { chooseRuntime } from '../container/choose-runtime.ts';
import { emitContainerEvent } from '../container/event.ts';
import { containerFolder } from '../container/folder.ts';
import type { ContainerConfig } from '../container/record.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { runtimeCommand } from '../runtime/monitor.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { applyChanges } from './changes.ts';
import { checkConfiguration } from './configuration.ts';
import { emitImageEvent } from './event.ts';
import { type ImageConfig, type ImageRecord, readConfiguration } from './image-store.ts';

export interface CommitRequest {
  readonly tag: string | undefined;
  readonly author: string;
  readonly comment: string;
  readonly changes: readonly string[];
  /** The container stands still meanwhile. */
  readonly pause: boolean;
  /** Fields that win over the container's; undefined: none. */
  readonly config: ImageConfig | undefined;
}

const pauseTimeoutMs = 10_000;
/** The configuration of an image, without what only a container has. */
const imageFields = [
  'User',
  'ExposedPorts',
  'Env',
  'Cmd',
  'Healthcheck',
  'Volumes',
  'WorkingDir',
  'Entrypoint',
  'OnBuild',
  'Labels',
  'StopSignal',
  'Shell',
] as const satisfies readonly (keyof ContainerConfig)[];

/** The image's id. */
export async function commitContainer(engine: Engine, container: Container, request: CommitRequest): Promise<string> {
  const { state } = container;
  if (state.status === 'dead' || state.status === 'removing') {
    throw new ApiError(
      409,
      `You cannot commit container ${container.id} which is ${state.status === 'dead' ? 'Dead' : 'being removed'}`,
    );
  }
  const own = pickImageFields(container.record.config);
  const changed = applyChanges({ ...own, ...request.config }, request.changes);
  // The container's command belongs to its entrypoint.
  const config = changed.Entrypoint !== own.Entrypoint && changed.Cmd === own.Cmd ? omitCommand(changed) : changed;
  const parent = engine.images.getById(container.record.imageId);
  const pins = parent.diffIds.map((diffId) => engine.images.layers.pin(diffId));
  try {
    const { layer, release } = await whilePaused(engine, container, request.pause, () =>
      addUpperLayer(engine, container),
    );
    pins.push(release);
    const image = makeImage(engine, container, parent, layer.diffId, config, request);
    engine.images.add(image, request.tag === undefined ? [] : [request.tag]);
    if (request.tag !== undefined) emitImageEvent(engine, image, 'tag', request.tag);
    emitContainerEvent(engine, container, 'commit', {
      comment: request.comment,
      imageID: image.id,
      imageRef: request.tag ?? '',
    });
    return image.id;
  } finally {
    for (const release of pins) release();
  }
}

function omitCommand({ Cmd: _theirs, ...config }: ImageConfig): ImageConfig {
  return config;
}

function addUpperLayer(engine: Engine, container: Container) {
  const { upper } = containerFolder(engine.config, container.id);
  mkdirSync(upper, { recursive: true }); // it never ran: an empty layer
  return engine.images.layers.add({ chunks: archiveTree(upper, { layer: true }) });
}

/** Under the container's lock, so that it neither starts nor ends meanwhile. */
function whilePaused<T>(engine: Engine, container: Container, pause: boolean, work: () => Promise<T>): Promise<T> {
  return container.locked(async () => {
    if (!pause || container.state.status !== 'running') return work();
    const runtime = chooseRuntime(engine, container.record.hostConfig.Runtime);
    await runtimeCommand(runtime, ['pause', container.id], pauseTimeoutMs);
    try {
      return await work();
    } finally {
      await runtimeCommand(runtime, ['resume', container.id], pauseTimeoutMs);
    }
  });
}

function makeImage(
  engine: Engine,
  container: Container,
  parent: ImageRecord,
  diffId: string,
  config: ImageConfig,
  { author, comment }: CommitRequest,
): ImageRecord {
  const base = readConfiguration(parent);
  const created = formatTimestamp(now());
  const step = {
    created,
    created_by: [container.record.path, ...container.record.args].join(' '),
    ...(author === '' ? {} : { author }),
    ...(comment === '' ? {} : { comment }),
  };
  const configText = JSON.stringify({
    architecture: base.architecture,
    ...(base.variant ? { variant: base.variant } : {}),
    os: base.os ?? 'linux',
    ...(author === '' ? {} : { author }),
    ...(comment === '' ? {} : { comment }),
    config,
    created,
    history: [...(base.history ?? []), step],
    rootfs: { type: 'layers', diff_ids: [...parent.diffIds, diffId] },
  });
  const { id, diffIds } = checkConfiguration(configText);
  const size = parent.size + engine.images.layers.get(diffId).size;
  return {
    ...{ id, configText, diffIds, size, repoTags: [], repoDigests: [], loaded: created },
    ...(parent.removed === true ? {} : { parent: parent.id }),
  };
}

function pickImageFields(config: ContainerConfig): ImageConfig {
  return Object.fromEntries(imageFields.filter((name) => config[name]).map((name) => [name, config[name]]));
}
