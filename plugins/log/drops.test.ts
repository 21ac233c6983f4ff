import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Drops } from './drops.ts';

const root = mkdtempSync(join(tmpdir(), 'cleat-drops-'));
const path = join(root, 'container', 'drops');
test.after(() => rmSync(root, { recursive: true }));

function text(drops: Drops): string {
  const scanner = drops.record();
  assert.ok(scanner.next());
  return scanner.frame.line.toString();
}

test('counts outlive the process, and so does what was told', () => {
  const first = new Drops(path);
  const { ino, size } = statSync(path);
  assert.not(first.pending);
  first.add(3, 300, 'no space left on the device');
  first.add(0, 0, 'nothing');
  first.add(1, 50, 'no space left on the device');

  const second = new Drops(path);
  assert.ok(second.pending);
  assert.is(text(second), 'cleat: 4 lines (350 bytes) dropped here: no space left on the device');
  second.told();

  const third = new Drops(path);
  assert.not(third.pending);
  assert.equal(third.total, { lines: 4, bytes: 350 });
  third.add(1, 10, `a reason that ${'goes on '.repeat(100)}`);
  assert.match(text(new Drops(path)), /^cleat: 1 line \(10 bytes\) dropped here: a reason that goes on/);
  assert.equal(new Drops(path).total, { lines: 5, bytes: 360 });
  assert.equal(
    { ino: statSync(path).ino, size: statSync(path).size },
    { ino, size },
    'in place, so that a full disk takes it',
  );
});

test('a file that makes no sense counts as none', () => {
  writeFileSync(path, 'x'.repeat(20));
  const drops = new Drops(path);
  assert.not(drops.pending);
  assert.equal(drops.total, { lines: 0, bytes: 0 });
  drops.add(2, 20, 'why');
  assert.match(readFileSync(path, 'utf8'), /^2 20 2 20 why +\n$/);
});

test.run();
