/** `docker import`: the tar of a root file system becomes an image of one layer. */
import { badRequest } from '../api/api-error.ts';
import { architecture } from '../architecture.ts';
import type { Engine } from '../engine.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { applyChanges } from './changes.ts';
import { checkConfiguration } from './configuration.ts';
import { emitImageEvent } from './event.ts';
import type { ImageRecord } from './image-store.ts';

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
  const [os = '', arch = '', variant] = (request.platform || `linux/${architecture()}`).split('/');
  if (os !== 'linux') throw badRequest(`operating system is not supported: ${os}`);
  const config = applyChanges({}, request.changes);
  const layer = await engine.images.layers.add({ chunks: request.archive });
  // From here to the record nothing else runs: nobody collects the layer.
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
