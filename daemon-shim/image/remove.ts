/**
 * `docker rmi`: a name goes, and with the last name the image, its layers that no other image has, and the parents that were
 * only kept for it. What is in the way is said in Docker's words: soft conflicts give way to force, hard ones do not.
 */
import { type ApiError, conflict } from '../api/api-error.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { emitImageEvent } from './event.ts';
import { chainIds, type ImageRecord } from './image-store.ts';
import { normalizeReference } from './reference.ts';

export interface RemovedEntry {
  readonly Untagged?: string;
  readonly Deleted?: string;
}

export interface RemoveImageOptions {
  readonly force: boolean;
  /** Parents without a name go too, if nothing else needs them. */
  readonly prune: boolean;
}

export async function removeImage(
  engine: Engine,
  reference: string,
  options: RemoveImageOptions,
): Promise<RemovedEntry[]> {
  const image = engine.images.get(reference);
  const records: RemovedEntry[] = [];
  const byId = isIdPrefix(image.id, reference);
  if (!byId) {
    const user = usersOf(engine, image)[0];
    if (!options.force && image.repoTags.length === 1 && user !== undefined) {
      throw conflict(
        `conflict: unable to remove repository reference "${reference}" (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`,
      );
    }
    untag(engine, image, normalizeReference(reference), records);
    if (engine.images.getById(image.id).repoTags.length > 0) return records;
  } else if (image.repoTags.length > 1 && !options.force) {
    throw conflict(
      `conflict: unable to delete ${shortId(image.id)} (must be forced) - image is referenced in multiple repositories`,
    );
  }
  // With its last name gone, only what nobody can force is still in the way of a removal by name.
  await removeWhole(engine, image.id, options, { quiet: !byId, isTop: true }, records);
  engine.images.collect();
  return records;
}

interface Step {
  /** A conflict ends the removal without an error: what was asked for, a name or a child, is gone. */
  readonly quiet: boolean;
  readonly isTop: boolean;
}

async function removeWhole(
  engine: Engine,
  id: string,
  options: RemoveImageOptions,
  step: Step,
  records: RemovedEntry[],
): Promise<void> {
  const image = engine.images.getById(id);
  const reason = findConflict(engine, image, options.force, step);
  if (reason !== undefined) {
    if (step.quiet) return;
    throw reason;
  }
  for (const tag of image.repoTags) untag(engine, image, tag, records);
  const stopped = usersOf(engine, image).length > 0;
  const freed = deleteRecord(engine, engine.images.getById(id), stopped);
  emitImageEvent(engine, image, 'delete', image.id);
  records.push({ Deleted: image.id }, ...freed.map((chainId) => ({ Deleted: chainId })));
  const parent = image.parent === undefined ? undefined : engine.images.find(image.parent);
  if (!options.prune || parent === undefined || parent.repoTags.length > 0) return;
  await removeWhole(engine, parent.id, { ...options, force: false }, { quiet: true, isTop: false }, records);
}

/** Chain IDs that are gone, the topmost first. Stopped containers keep the layers of an image that was forced away. */
function deleteRecord(engine: Engine, image: ImageRecord, keep: boolean): string[] {
  if (keep) {
    engine.images.put({ ...image, repoTags: [], removed: true });
    return [];
  }
  engine.images.delete(image.id);
  const needed = new Set(engine.images.listAll().flatMap((other) => chainIds(other.diffIds)));
  return chainIds(image.diffIds)
    .filter((chainId) => !needed.has(chainId))
    .reverse();
}

function untag(engine: Engine, image: ImageRecord, tag: string, records: RemovedEntry[]): void {
  const current = engine.images.getById(image.id);
  engine.images.put({ ...current, repoTags: current.repoTags.filter((name) => name !== tag) });
  emitImageEvent(engine, image, 'untag', image.id);
  records.push({ Untagged: tag });
}

function findConflict(engine: Engine, image: ImageRecord, force: boolean, step: Step): ApiError | undefined {
  const refuse = (hard: boolean, reason: string) =>
    conflict(`conflict: unable to delete ${shortId(image.id)} (${hard ? 'cannot' : 'must'} be forced) - ${reason}`);
  if (engine.images.list().some((other) => other.parent === image.id)) {
    return refuse(true, 'image has dependent child images');
  }
  const users = usersOf(engine, image);
  const running = users.find((container) => container.isRunning);
  if (running !== undefined) return refuse(true, `image is being used by running container ${shortId(running.id)}`);
  if (force) return undefined;
  if (users[0] !== undefined) return refuse(false, `image is being used by stopped container ${shortId(users[0].id)}`);
  if (!step.isTop && image.repoTags.length > 0) return refuse(false, 'image is referenced in multiple repositories');
  return undefined;
}

export function usersOf(engine: Engine, image: ImageRecord): Container[] {
  return engine.containers.list().filter(({ record }) => record.imageId === image.id);
}

function isIdPrefix(id: string, reference: string): boolean {
  return id.startsWith(reference) || id.slice('sha256:'.length).startsWith(reference);
}

function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}
