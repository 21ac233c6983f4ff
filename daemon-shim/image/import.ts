/** `docker import`: the tar of a root file system becomes an image of one layer. */
import { badRequest } from '../api/api-error.ts';
import { architecture } from '../architecture.ts';
import type { Engine } from '../engine.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { applyChanges } from './changes.ts';
import { checkConfiguration } from './configuration.ts';
import { emitImageEvent } from './event.ts';
import type { ImageConfig, ImageRecord } from './image-store.ts';
import type { LayerRecord } from './layer-store.ts';

export interface ImportRequest {
  readonly archive: AsyncIterable<Buffer>;
  /** `name:tag`; undefined: the image has no name. */
  readonly tag: string | undefined;
  readonly changes: readonly string[];
  readonly message: string;
  /** `linux/arm64`; ours when empty. */
  readonly platform: string;
}

export async function importImage(engine: Engine, request: ImportRequest): Promise<ImageRecord> {
  const [os] = platformParts(request);
  if (os !== 'linux') throw badRequest(`operating system is not supported: ${os}`);
  const config = applyChanges({}, request.changes);
  const { layer, release } = await engine.images.layers.add({ chunks: request.archive });
  try {
    return recordImage(engine, request, config, layer);
  } finally {
    release();
  }
}

function recordImage(engine: Engine, request: ImportRequest, config: ImageConfig, layer: LayerRecord): ImageRecord {
  const [os, arch = '', variant] = platformParts(request);
  const created = formatTimestamp(now());
  const comment = request.message || 'Imported from -';
  const configText = JSON.stringify({
    architecture: arch || architecture(),
    ...(variant === undefined ? {} : { variant }),
    comment,
    config,
    created,
    history: [{ created, comment }],
    os,
    rootfs: { type: 'layers', diff_ids: [layer.diffId] },
  });
  const { id, diffIds } = checkConfiguration(configText);
  const { size } = layer;
  const image: ImageRecord = { id, configText, diffIds, size, repoTags: [], repoDigests: [], loaded: created };
  engine.images.add(image, request.tag === undefined ? [] : [request.tag]);
  emitImageEvent(engine, image, 'import', id);
  return image;
}

/** System, processor, variant. */
function platformParts({ platform }: ImportRequest): readonly string[] {
  return (platform || `linux/${architecture()}`).split('/');
}
