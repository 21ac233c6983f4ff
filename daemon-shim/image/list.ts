/** `docker images`: which images a request sees, and their one-line summaries. */
import { badRequest } from '../api/api-error.ts';
import { type Filters, matchesLabels } from '../api/filters.ts';
import { parseUntil } from '../api/until.ts';
import { unixSeconds } from '../container/inspect.ts';
import type { Engine } from '../engine.ts';
import { type ImageRecord, readConfiguration } from './image-store.ts';
import { matchesReference } from './reference.ts';

export const imageListFilters = ['before', 'dangling', 'label', 'reference', 'since', 'until'] as const;

export interface ImageListOptions {
  /** Those in between, too, which only serve as parents. */
  readonly all: boolean;
  readonly filters: Filters;
  readonly sharedSize: boolean;
  /** `major * 1000 + minor` */
  readonly version: number;
}

/** Newest first. */
export function listImages(engine: Engine, options: ImageListOptions): object[] {
  const { filters } = options;
  const dangling = booleanFilter(filters, 'dangling');
  const bounds = {
    before: boundOf(engine, filters, 'before'),
    since: boundOf(engine, filters, 'since'),
    until: filters.get('until')?.map(parseUntil).sort()[0],
  };
  const parents = new Set(engine.images.list().map((image) => image.parent));
  const patterns = filters.get('reference');
  return engine.images
    .list()
    .map((image) => ({ image, created: createdOf(image), tags: shownTags(image, patterns) }))
    .filter(({ image, created, tags }) => {
      const isDangling = image.repoTags.length === 0 && image.repoDigests.length === 0;
      if (dangling !== undefined && dangling !== (isDangling && !parents.has(image.id))) return false;
      if (patterns !== undefined && tags.length === 0) return false;
      if (!options.all && dangling === undefined && isDangling && parents.has(image.id)) return false;
      if (bounds.before !== undefined && created >= bounds.before) return false;
      if (bounds.since !== undefined && created <= bounds.since) return false;
      if (bounds.until !== undefined && created * 1000 > bounds.until) return false;
      return matchesLabels(filters.get('label'), readConfiguration(image).config?.Labels ?? {});
    })
    .sort((a, b) => b.created - a.created)
    .map(({ image, tags }) => summarizeImage(engine, image, tags, options));
}

function summarizeImage(
  engine: Engine,
  image: ImageRecord,
  tags: readonly string[],
  { version, sharedSize }: Pick<ImageListOptions, 'version' | 'sharedSize'>,
): object {
  const labels = readConfiguration(image).config?.Labels;
  return {
    Containers: version >= 1051 ? usersOf(engine, image).length : -1,
    Created: createdOf(image),
    Id: image.id,
    Labels: labels ?? null,
    ParentId: image.parent ?? '',
    RepoDigests: version < 1043 && tags.length === 0 ? ['<none>@<none>'] : image.repoDigests,
    RepoTags: version < 1043 && tags.length === 0 ? ['<none>:<none>'] : tags,
    SharedSize: sharedSize ? sharedBytes(engine, image) : -1,
    Size: image.size,
    ...(version < 1044 ? { VirtualSize: image.size } : {}),
  };
}

/** For `system df`: with the containers and the shared bytes counted. */
export function summarizeForUsage(engine: Engine, image: ImageRecord, version: number): object {
  const counted = { Containers: usersOf(engine, image).length };
  return { ...summarizeImage(engine, image, image.repoTags, { version, sharedSize: true }), ...counted };
}

function usersOf(engine: Engine, image: ImageRecord) {
  return engine.containers.list().filter(({ record }) => record.imageId === image.id);
}

/** Bytes of layers that other images have, too. */
function sharedBytes(engine: Engine, image: ImageRecord): number {
  const others = new Set(
    engine.images
      .list()
      .filter((other) => other.id !== image.id)
      .flatMap((other) => other.diffIds),
  );
  return image.diffIds
    .filter((diffId) => others.has(diffId))
    .reduce((sum, diffId) => sum + engine.images.layers.get(diffId).size, 0);
}

function shownTags(image: ImageRecord, patterns: readonly string[] | undefined): readonly string[] {
  if (patterns === undefined) return image.repoTags;
  return image.repoTags.filter((tag) => patterns.some((pattern) => matchesReference(tag, pattern)));
}

function boundOf(engine: Engine, filters: Filters, name: 'before' | 'since'): number | undefined {
  const times = filters.get(name)?.map((reference) => createdOf(engine.images.get(reference)));
  if (times === undefined) return undefined;
  return name === 'before' ? Math.min(...times) : Math.max(...times);
}

/** Undefined when not given. */
export function booleanFilter(filters: Filters, name: string): boolean | undefined {
  const value = filters.get(name)?.[0];
  if (value === undefined) return undefined;
  if (['true', '1'].includes(value)) return true;
  if (['false', '0'].includes(value)) return false;
  throw badRequest(`invalid filter '${name}=[${value}]'`);
}

export function createdOf(image: ImageRecord): number {
  const { created } = readConfiguration(image);
  return created === undefined ? 0 : unixSeconds(created);
}
