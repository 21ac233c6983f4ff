/** Builds one cache entry: `build.ts KIND`. Started by `ensureCached`, which holds the lock. */
import { buildEntry, type CacheEntry } from './cache.ts';
import { busyboxImage, toolsImage } from './images.ts';
import { sidRoot } from './sid-root.ts';
import { umlPreload } from './uml.ts';

const entries: Readonly<Record<string, CacheEntry>> = {
  'sid-root': sidRoot,
  'busybox-image': busyboxImage,
  'tools-image': toolsImage,
  'uml-preload': umlPreload,
};
const entry = entries[process.argv[2] ?? ''];
if (!entry) throw new Error(`name one of: ${Object.keys(entries).join(', ')}`);
buildEntry(entry);
