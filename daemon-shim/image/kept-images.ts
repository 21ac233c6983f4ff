/** Images that were removed by force while stopped containers were made from them: they go with the last of these. */
import type { Engine } from '../engine.ts';

/** After a container was removed, and at the start. */
export function dropKeptImages(engine: Engine): void {
  const used = new Set(engine.containers.list().map(({ record }) => record.imageId));
  const unused = engine.images.listAll().filter((image) => image.removed === true && !used.has(image.id));
  if (unused.length === 0) return;
  for (const image of unused) engine.images.delete(image.id);
  engine.images.collect();
}
