import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { StateMap } from './state-map.ts';

test('what was set and deleted is there for the next process, and nothing else is', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cleat-state-map-'));
  try {
    const path = join(folder, 'made/pools.json');
    const pools = new StateMap<{ readonly taken: readonly string[] }>(path);
    pools.set('a', { taken: ['192.0.2.1'] }).set('b', { taken: [] });
    assert.ok(pools.delete('b'));
    assert.not(pools.delete('b'));
    assert.equal([...new StateMap(path)], [['a', { taken: ['192.0.2.1'] }]]);
    assert.equal(readdirSync(join(folder, 'made')), ['pools.json']);
    assert.is(statSync(path).mode & 0o777, 0o600);
    pools.clear();
    assert.is(new StateMap(path).size, 0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
