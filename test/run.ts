/**
 * Runs tests: `test/run.ts LEVEL [PART-OF-PATH...]`, LEVEL one of unit, integration, e2e, all (check and types too).
 *
 * Unit files share a few processes, for speed; when one of those breaks, its files are run again alone, to name the culprit.
 * Integration and e2e files run a few at a time, each in a process group of its own with a time limit. Output is shown for
 * failures only. The last line is `N passed, N failed`, and `, N skipped` when something was. Nothing executed is a failure.
 */
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { killGroups, runLimited } from './support/limited.ts';
import { type Outcome, readOutcome } from './support/outcome.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const batchRunner = fileURLToPath(new URL('./support/unit-batch.ts', import.meta.url));

const levels = {
  unit: [
    'plugins/**/*.test.ts',
    'daemon-shim/**/*.test.ts',
    'lab/**/*.test.ts',
    'test/support/**/*.test.ts',
    'test/contract/**/*.test.ts',
  ],
  integration: ['test/integration/**/*.test.ts'],
  e2e: ['test/e2e/**/*.test.ts'],
} as const;
type Level = keyof typeof levels;

/** Seconds for one file; they only bound a hang. */
const fileLimit: Readonly<Record<Level, number>> = { unit: 60, integration: 300, e2e: 900 };
/** For everything together, in minutes; what has not started by then counts as failed. */
const totalLimit = Number(process.env['CLEAT_TEST_MINUTES'] ?? 41);

/** Files of integration and e2e that run at a time; one more than processors, for each of them often waits. */
const lanes = Number(process.env['CLEAT_TEST_LANES'] ?? availableParallelism() + 1);

const retried = new Set<string>();
const retries: { readonly name: Level; readonly file: string; readonly passed: number; readonly failed: number }[] = [];

const totals = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const started = performance.now();

const [level, ...filters] = process.argv.slice(2);
if (level !== 'all' && !(level !== undefined && level in levels)) {
  process.stderr.write(`usage: test/run.ts unit|integration|e2e|all [PART-OF-PATH...]\n`);
  process.exit(2);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    killGroups();
    finish(`stopped by ${signal}`);
  });
}

if (level === 'all' && filters.length === 0) {
  await runTool('check', ['node_modules/.bin/biome', 'check', '--error-on-warnings', '.']);
  await runTool('types', ['node_modules/.bin/tsc', '--noEmit']);
}
// The long ones first, so that at the end no lane waits for another.
const order: readonly Level[] = level === 'all' ? ['unit', 'e2e', 'integration'] : [level as Level];
const chosen = order.map(filesOf);
for (const { name, files } of chosen) if (files.length > 0) process.stdout.write(`${name}: ${files.length} files\n`);
for (const { name, files } of chosen) if (name === 'unit' && files.length > 1) await runUnits(files);
await runSideBySide(
  chosen.flatMap(({ name, files }) =>
    name === 'unit' && files.length > 1 ? [] : files.map((file) => ({ name, file })),
  ),
);
finish();

function filesOf(name: Level): { readonly name: Level; readonly files: readonly string[] } {
  const found = globSync([...levels[name]], { cwd: root, exclude: (path) => path.includes('node_modules') });
  const wanted = (file: string): boolean => filters.length === 0 || filters.some((part) => file.includes(part));
  return { name, files: found.filter(wanted).sort() };
}

async function runUnits(files: readonly string[]): Promise<void> {
  const count = Math.min(availableParallelism(), files.length);
  const batches = Array.from({ length: count }, (_, start) => files.filter((_file, index) => index % count === start));
  await Promise.all(
    batches.map(async (batch, index) => {
      const end = await runLimited(process.execPath, [batchRunner, ...batch], { cwd: root, limitMs: 120_000 });
      const outcome = readOutcome(end);
      if (outcome.broken === undefined && outcome.failed === 0)
        report(`unit, part ${index + 1} of ${count}`, outcome, end.ms);
      else for (const file of batch) await runFile('unit', file);
    }),
  );
}

/** Every file makes its own hosts, so several run at once; much of their time is waiting for engines. */
async function runSideBySide(files: readonly { readonly name: Level; readonly file: string }[]): Promise<void> {
  const waiting = [...files];
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await runFile(next.name, next.file);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  // What failed beside others is asked once more with the machine to itself: a deadline may have passed for want of a
  // processor. A defect fails again; the first failure is shown in any case.
  for (const again of retries.splice(0)) {
    process.stdout.write(`once more, alone: ${again.file}\n`);
    totals.failed -= again.failed;
    totals.passed -= again.passed;
    failures.splice(failures.indexOf(again.file), 1);
    await runFile(again.name, again.file);
  }
}

async function runFile(name: Level, file: string): Promise<void> {
  const leftMs = totalLimit * 60_000 - (performance.now() - started);
  if (leftMs < 1000) {
    report(file, { passed: 0, failed: 1, skipped: 0, reasons: [], broken: 'not started: the run took too long' }, 0);
    return;
  }
  const limitMs = Math.min(fileLimit[name] * 1000, leftMs);
  const end = await runLimited(process.execPath, [file], { cwd: root, limitMs });
  const outcome = readOutcome(end);
  report(file, outcome, end.ms, end.output);
  if (outcome.failed > 0 && name !== 'unit' && !retried.has(file)) {
    retried.add(file);
    retries.push({ name, file, passed: outcome.passed, failed: outcome.failed });
  }
}

/** A tool that has no tests to count: it passes or fails as one. */
async function runTool(name: string, command: readonly string[]): Promise<void> {
  const end = await runLimited(process.execPath, command, { cwd: root, limitMs: 300_000 });
  const ok = end.code === 0;
  const broken = ok ? {} : { broken: end.timedOut ? 'took too long' : 'said no' };
  report(name, { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0, reasons: [], ...broken }, end.ms, end.output);
}

function report(what: string, outcome: Outcome, ms: number, output = ''): void {
  totals.passed += outcome.passed;
  totals.failed += outcome.failed;
  totals.skipped += outcome.skipped;
  const bad = outcome.failed > 0;
  if (bad) failures.push(what);
  const state = bad ? 'FAIL' : outcome.passed === 0 ? 'skip' : 'ok  ';
  const counts = [`${outcome.passed} passed`];
  if (bad) counts.push(`${outcome.failed} failed`);
  if (outcome.skipped > 0) counts.push(`${outcome.skipped} skipped`);
  const detail = outcome.broken === undefined ? '' : ` (${outcome.broken})`;
  process.stdout.write(`${state} ${what}  ${counts.join(', ')}  ${(ms / 1000).toFixed(1)} s${detail}\n`);
  for (const reason of outcome.reasons) process.stdout.write(`     skipped: ${reason}\n`);
  if (bad) process.stdout.write(`${output.trimEnd().replaceAll(/^/gm, '     | ')}\n`);
}

function finish(problem?: string): never {
  const ran = totals.passed + totals.failed > 0;
  if (problem !== undefined || !ran) {
    process.stdout.write(`FAIL ${problem ?? 'no test was executed'}\n`);
    totals.failed += 1;
  }
  if (failures.length > 0) process.stdout.write(`failed: ${failures.join(', ')}\n`);
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed${skipped}\n`);
  process.exit(totals.failed > 0 ? 1 : 0);
}
