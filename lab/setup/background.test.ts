import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { is, match, not, ok } from 'uvu/assert';
import { findBackground, startBackground, stopBackground, tailOf } from './background.ts';

const folder = mkdtempSync(join(tmpdir(), 'background-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

const sleeper = (what: { folder: string; name: string }) => ({
  file: 'sh',
  args: ['-c', 'echo ready; exec sleep 60'],
  ready: async () => tailOf(what) === 'ready',
});

test('started once, found again, stopped', async () => {
  const what = { folder, name: 'once' };
  is(findBackground(what), undefined);
  await startBackground(what, sleeper(what));
  const pid = findBackground(what);
  ok(pid);
  await startBackground(what, sleeper(what));
  is(findBackground(what), pid);
  is(await stopBackground(what), true);
  is(findBackground(what), undefined);
  is(await stopBackground(what), false);
});

test('what ends at once is an error with its own words', async () => {
  const what = { folder, name: 'broken' };
  try {
    await startBackground(what, { file: 'sh', args: ['-c', 'echo no such option; exit 3'], ready: async () => false });
    ok(false, 'it was taken for started');
  } catch (error) {
    match((error as Error).message, /broken did not start: it ended with 3\nno such option/);
  }
  not(findBackground(what));
});

test.run();
