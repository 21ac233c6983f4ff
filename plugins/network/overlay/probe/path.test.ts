import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Path, type Probe } from './path.ts';

let now = 0;
let id = 0;

/** A way that lets through what `passes` says, with a round trip of 3 ms. */
function walk(path: Path, rounds: number, passes: (probe: Probe) => boolean): void {
  for (let round = 0; round < rounds; round += 1) {
    now += 200;
    for (const probe of path.next(now, () => id++)) if (passes(probe)) path.back(probe.id, now + 3);
  }
}

test('a good way: everything is known after a few rounds', () => {
  const path = new Path(1450);
  walk(path, 8, () => true);
  assert.equal(path.status(), { latencyMs: 3, loss: 0, mtu: 1450, mtuHole: false, silent: false, checksums: 'good' });
});

test('what was sent before the other side began is no loss', () => {
  const path = new Path(1450);
  walk(path, 6, () => false);
  assert.is(path.status().loss, 1);
  walk(path, 6, () => true);
  assert.equal([path.status().loss, path.status().silent], [0, false]);
  assert.equal([path.status().mtu, path.status().mtuHole], [1450, false]);
  walk(path, 6, () => false);
  assert.ok((path.status().loss ?? 0) > 0.3, 'but later it is');
});

test('checksums that are damaged are told from a way that is closed, and mending shows', () => {
  const path = new Path(1450);
  walk(path, 10, () => false);
  assert.equal([path.status().checksums, path.status().loss, path.status().silent], ['unknown', 1, true]);
  walk(path, 10, ({ checked }) => !checked);
  assert.equal([path.status().checksums, path.status().silent], ['damaged', false]);
  path.changed();
  assert.is(path.status().checksums, 'unknown');
  walk(path, 3, () => true);
  assert.is(path.status().checksums, 'good');
});

test('a black hole: the largest size that passes is found, wherever it is, and when it is gone', () => {
  for (const least of [1280, 1281, 1372, 1400, 1449]) {
    const path = new Path(1450);
    walk(path, 60, ({ size }) => size <= least);
    assert.equal([path.status().mtuHole, path.status().mtu], [true, least]);
    walk(path, 40, () => true);
    assert.equal([path.status().mtuHole, path.status().mtu], [false, 1450]);
  }
});

test('loss is measured, and is no reason to believe in damage', () => {
  const path = new Path(1450);
  let state = 7;
  walk(path, 60, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state % 1000 > 250;
  });
  const { loss = 0, checksums } = path.status();
  assert.ok(loss > 0.1 && loss < 0.4, String(loss));
  assert.is(checksums, 'good');
});

test.run();
