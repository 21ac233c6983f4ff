/** The bench runner: what it lists can be run, and its output is what people and programs expect. */
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { equal, is, match, ok } from 'uvu/assert';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'nftables', 'engine-28');

const runner = fileURLToPath(new URL('../../lab/bench/main.ts', import.meta.url));
const bench = (...args: readonly string[]) =>
  spawnSync(process.execPath, [runner, ...args], { encoding: 'utf8', timeout: 120_000 });

test('--list names every bench of the folder with its question', () => {
  const files = globSync('*.ts', { cwd: dirname(runner) }).map((file) => basename(file, '.ts'));
  const listed = bench('--list');
  is(listed.status, 0, listed.stderr);
  const readme = readFileSync(join(dirname(runner), 'README.md'), 'utf8');
  for (const name of files.filter((file) => file !== 'main')) {
    match(listed.stdout, new RegExp(`^${name} +\\S+`, 'm'));
    match(readme, new RegExp(`^\\| \`${name}\` `, 'm'), `${name} is missing in lab/bench/README.md`);
  }
});

test('--json: figures with absolute values', () => {
  const done = bench('memory', '--json');
  is(done.status, 0, done.stderr);
  const result = JSON.parse(done.stdout) as { name: string; figures: { variant: string; ours: number }[] };
  is(result.name, 'memory');
  equal(
    result.figures.map(({ variant }) => variant),
    ['rss-0', 'rss-100', 'rss-500'],
  );
  ok(result.figures.every(({ ours }) => ours > 20 && ours < 1000));
});

test('a ratio line for each variant comes last', () => {
  const done = bench('throughput', '--rounds', '1');
  is(done.status, 0, done.stderr);
  const lines = done.stdout.trim().split('\n').slice(-2);
  match(lines[0] ?? '', /^throughput-container ratio \d/);
  match(lines[1] ?? '', /^throughput-published ratio \d/);
});

test('an unknown name and a wrong flag are refused, with what there is', () => {
  const unknown = bench('nosuch');
  is(unknown.status, 2);
  match(unknown.stderr, /there are .*attach/);
  is(bench('--nosuch').status, 2);
});

test.run();
