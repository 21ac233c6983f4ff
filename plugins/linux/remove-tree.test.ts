import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { removeTree } from './remove-tree.ts';

const base = mkdtempSync(join(tmpdir(), 'cleat-remove-'));

test.after(() => rmSync(base, { recursive: true, force: true }));

test('links are deleted, not followed; odd names too', async () => {
  const outside = join(base, 'outside');
  const tree = join(base, 'tree');
  mkdirSync(outside);
  writeFileSync(join(outside, 'f'), 'x');
  mkdirSync(join(tree, 'sub'), { recursive: true });
  symlinkSync(outside, join(tree, 'link'));
  symlinkSync('../..', join(tree, 'sub', 'up'));
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe])]), '');
  writeFileSync(join(tree, 'new\nline'), '');
  chmodSync(join(tree, 'sub'), 0o700);
  await removeTree(tree);
  assert.not(existsSync(tree));
  assert.equal(readdirSync(outside), ['f']);
});

test('a top that is a link is refused; one that is missing is done', async () => {
  symlinkSync(base, join(base, 'toplink'));
  await removeTree(join(base, 'toplink')).then(
    () => assert.unreachable(),
    (error: NodeJS.ErrnoException) => assert.ok(error.code === 'ELOOP' || error.code === 'ENOTDIR'),
  );
  await removeTree(join(base, 'never'));
});

test('deep trees', async () => {
  const deep = join(base, 'deep');
  mkdirSync(join(deep, ...Array<string>(200).fill('d')), { recursive: true });
  await removeTree(deep);
  assert.not(existsSync(deep));
});

test.run();
