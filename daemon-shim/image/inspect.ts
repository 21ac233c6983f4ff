/** `docker inspect` of an image and `docker history`, as each version of the API has them. */
import { unixSeconds } from '../container/inspect.ts';
import { never } from '../container/record.ts';
import type { Engine } from '../engine.ts';
import { type ImageConfig, type ImageRecord, readConfiguration } from './image-store.ts';

/** `version` is `major * 1000 + minor`. */
export function inspectImage(engine: Engine, image: ImageRecord, version: number): object {
  const configuration = readConfiguration(image);
  const { layers } = engine.images;
  const folders = image.diffIds.map((diffId) => layers.path(layers.get(diffId))).reverse();
  const [top, ...lower] = folders;
  return {
    Id: image.id,
    RepoTags: image.repoTags,
    RepoDigests: image.repoDigests,
    Parent: image.parent ?? '',
    Comment: configuration.comment ?? lastComment(configuration.history),
    Created: configuration.created ?? never,
    ...(version < 1045 ? { Container: '', ContainerConfig: legacyConfig({}) } : {}),
    DockerVersion: configuration.docker_version ?? '',
    Author: configuration.author ?? '',
    Architecture: configuration.architecture ?? '',
    ...(configuration.variant ? { Variant: configuration.variant } : {}),
    Os: configuration.os ?? 'linux',
    Size: image.size,
    ...(version < 1044 ? { VirtualSize: image.size } : {}),
    GraphDriver: {
      Data: {
        ...(lower.length > 0 ? { LowerDir: lower.join(':') } : {}),
        ...(top === undefined ? {} : { UpperDir: top }),
      },
      Name: 'overlay2',
    },
    RootFS: { Type: 'layers', ...(image.diffIds.length > 0 ? { Layers: image.diffIds } : {}) },
    Metadata: { LastTagTime: image.lastTagged ?? never },
    Config: version < 1050 ? legacyConfig(configuration.config ?? {}) : shownConfig(configuration.config ?? {}),
  };
}

/** Before 1.50: a container's whole configuration, with what an image cannot have empty. */
function legacyConfig(config: ImageConfig): object {
  return {
    Hostname: '',
    Domainname: '',
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    Image: '',
    ...shownConfig(config),
  };
}

function shownConfig(config: ImageConfig): object {
  const { User, Env, Cmd, Volumes, WorkingDir, Entrypoint, OnBuild, Labels } = config;
  const { ExposedPorts, Healthcheck, StopSignal, Shell } = config;
  return {
    User: User ?? '',
    ...(ExposedPorts ? { ExposedPorts } : {}),
    Env: Env ?? null,
    Cmd: Cmd ?? null,
    ...(Healthcheck ? { Healthcheck } : {}),
    Volumes: Volumes ?? null,
    WorkingDir: WorkingDir ?? '',
    Entrypoint: Entrypoint ?? null,
    OnBuild: OnBuild ?? null,
    Labels: Labels ?? null,
    ...(StopSignal ? { StopSignal } : {}),
    ...(Shell ? { Shell } : {}),
  };
}

function lastComment(history: readonly { readonly comment?: string }[] | null | undefined): string {
  return history?.at(-1)?.comment ?? '';
}

/** Newest first. Only images of this host have ids: steps that came with an archive are `<missing>`. */
export function imageHistory(engine: Engine, image: ImageRecord): object[] {
  const { images } = engine;
  const steps = readConfiguration(image).history ?? [];
  let layer = 0;
  const rows = steps.map((step) => {
    const diffId = step.empty_layer ? undefined : image.diffIds[layer++];
    return {
      Id: '<missing>',
      Created: step.created === undefined ? 0 : unixSeconds(step.created),
      CreatedBy: step.created_by ?? '',
      Tags: null as readonly string[] | null,
      Size: diffId === undefined ? 0 : (images.layers.find(diffId)?.size ?? 0),
      Comment: step.comment ?? '',
    };
  });
  rows.reverse();
  let current: ImageRecord | undefined = image;
  for (const row of rows) {
    if (current === undefined) break;
    row.Id = current.id;
    row.Tags = current.repoTags.length > 0 ? current.repoTags : null;
    current = current.parent === undefined ? undefined : images.find(current.parent);
  }
  return rows;
}
