/** `docker image prune`: images without a name, or with `dangling=false` all that no container was made from. */
import { ApiError } from '../api/api-error.ts';
import { type Filters, matchesLabels } from '../api/filters.ts';
import { parseUntil } from '../api/until.ts';
import type { Engine } from '../engine.ts';
import { now } from '../timestamp.ts';
import { type ImageRecord, readConfiguration } from './image-store.ts';
import { booleanFilter, createdOf } from './list.ts';
import { type RemovedEntry, removeImage, usersOf } from './remove.ts';

export const imagePruneFilters = ['dangling', 'label', 'label!', 'until'] as const;

export interface PrunedImages {
  readonly ImagesDeleted: readonly RemovedEntry[] | null;
  readonly SpaceReclaimed: number;
}

export async function pruneImages(engine: Engine, filters: Filters): Promise<PrunedImages> {
  const danglingOnly = booleanFilter(filters, 'dangling') ?? true;
  const until = filters.get('until')?.map(parseUntil)[0];
  const before = layerBytes(engine);
  const deleted: RemovedEntry[] = [];
  // Children before their parents, which can go only when they have none.
  const candidates = engine.images
    .list()
    .filter((image) => !danglingOnly || image.repoTags.length === 0)
    .filter((image) => usersOf(engine, image).length === 0 && matches(image, filters, until))
    .sort((a, b) => createdOf(b) - createdOf(a) || (a.parent === b.id ? -1 : 1));
  for (const { id } of candidates) {
    const image = engine.images.find(id);
    if (image === undefined) continue;
    for (const name of image.repoTags.length > 0 ? image.repoTags : [id]) {
      deleted.push(...(await removeUnused(engine, name)));
    }
  }
  const reclaimed = before - layerBytes(engine);
  engine.events.emit({
    Type: 'image',
    Action: 'prune',
    Actor: { ID: '', Attributes: { reclaimed: String(reclaimed) } },
    at: now(),
  });
  return { ImagesDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: reclaimed };
}

/** One that came into use meanwhile, or has children, stays. */
async function removeUnused(engine: Engine, name: string): Promise<RemovedEntry[]> {
  try {
    return await removeImage(engine, name, { force: false, prune: true });
  } catch (error) {
    if (error instanceof ApiError && (error.statusCode === 409 || error.statusCode === 404)) return [];
    throw error;
  }
}

function matches(image: ImageRecord, filters: Filters, until: number | undefined): boolean {
  const labels = readConfiguration(image).config?.Labels ?? {};
  const excluded = filters.get('label!');
  if (until !== undefined && createdOf(image) * 1000 > until) return false;
  if (excluded !== undefined && matchesLabels(excluded, labels)) return false;
  return matchesLabels(filters.get('label'), labels);
}

function layerBytes(engine: Engine): number {
  return engine.images.layers.list().reduce((sum, layer) => sum + layer.size, 0);
}
