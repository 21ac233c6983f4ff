/** Bytes that a container's own changes take: files of its upper folder, and targets of links, as Docker counts them. */
import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { entriesAtOnce, walkTree } from '../archive/tree-walk.ts';
import type { Engine } from '../engine.ts';
import { containerFolder } from './folder.ts';
import type { Container } from './registry.ts';

/** Lets others run now and then: it may be many files. */
export async function upperBytes(engine: Engine, container: Container): Promise<number> {
  const { upper } = containerFolder(engine.config, container.id);
  if (!existsSync(upper)) return 0;
  const seen = new Set<number>();
  let bytes = 0;
  let count = 0;
  for (const { stat } of walkTree(upper)) {
    if (++count % entriesAtOnce === 0) await setImmediate();
    if (stat.isDirectory() || seen.has(stat.ino)) continue;
    if (stat.nlink > 1) seen.add(stat.ino);
    bytes += stat.size;
  }
  return bytes;
}
