/** What User-Mode Linux needs besides Debian's package: a small library for processors that are newer than it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type CacheEntry, ensureCached } from './cache.ts';
import { runStep } from './step.ts';

const source = fileURLToPath(new URL('./uml-xstate.c', import.meta.url));

export const umlPreload: CacheEntry = {
  name: 'uml-xstate.so',
  recipe: [readFileSync(source, 'utf8')],
  build(path) {
    runStep('tcc', ['-shared', '-nostdlib', '-fPIC', '-o', path, source]);
  },
};

/** The path of the library for LD_PRELOAD. */
export function ensureUmlPreload(): string {
  return ensureCached(umlPreload, 'uml-preload');
}
