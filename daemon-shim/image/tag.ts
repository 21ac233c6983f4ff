/** `docker tag`. */
import { badRequest } from '../api/api-error.ts';
import type { Engine } from '../engine.ts';
import { formatTimestamp, now } from '../timestamp.ts';
import { emitImageEvent } from './event.ts';
import type { ImageRecord } from './image-store.ts';
import { parseReference } from './reference.ts';

/** `name:tag` from what the API gives apart; undefined without a repository. */
export function tagName(repo: string | undefined, tag: string | undefined): string | undefined {
  if (!repo) return undefined;
  const { name, tag: own, digest } = parseReference(repo);
  if (digest !== undefined) throw badRequest('refusing to create a tag with a digest reference');
  if (name === 'sha256') throw badRequest('refusing to create an ambiguous tag using digest algorithm as name');
  const result = `${name}:${tag || own || 'latest'}`;
  parseReference(result);
  return result;
}

export function tagImage(engine: Engine, image: ImageRecord, tag: string): void {
  engine.images.add({ ...image, loaded: formatTimestamp(now()) }, [tag]);
  emitImageEvent(engine, image, 'tag', tag);
}
