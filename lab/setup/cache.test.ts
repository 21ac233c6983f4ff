import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { is, match, throws } from 'uvu/assert';
import { buildEntry, type CacheEntry, cachePath } from './cache.ts';

const before = process.env['CLEAT_CACHE'];
const folder = mkdtempSync(join(tmpdir(), 'cache-'));
process.env['CLEAT_CACHE'] = folder;
test.after(() => {
  if (before === undefined) delete process.env['CLEAT_CACHE'];
  else process.env['CLEAT_CACHE'] = before;
  rmSync(folder, { recursive: true, force: true });
});

test('the name follows the recipe', () => {
  const entry = (recipe: string): CacheEntry => ({ name: 'thing', recipe: [recipe], build() {} });
  match(cachePath(entry('a')), /\/thing-[0-9a-f]{10}$/);
  is(cachePath(entry('a')), cachePath(entry('a')));
  is(cachePath(entry('a')) === cachePath(entry('b')), false);
});

test('built once; a failed build leaves nothing under the final name and the next one starts afresh', () => {
  let builds = 0;
  const entry: CacheEntry = {
    name: 'file',
    recipe: [],
    build(path) {
      builds += 1;
      is(existsSync(path), false);
      writeFileSync(path, `build ${builds}`);
      if (builds === 1) throw new Error('interrupted');
    },
  };
  throws(() => buildEntry(entry), /interrupted/);
  is(existsSync(cachePath(entry)), false);
  buildEntry(entry);
  buildEntry(entry);
  is(readFileSync(cachePath(entry), 'utf8'), 'build 2');
});

test.run();
