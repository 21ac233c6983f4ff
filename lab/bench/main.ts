/** `npm run bench -- NAME… [--json] [--rounds N]`: runs benches of this folder, or lists them. */
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from '../../plugins/cli/table.ts';
import { installPackages } from '../setup/debian.ts';
import { runtimePackages, testPackages } from '../setup/packages.ts';
import type { Bench } from './harness/bench.ts';
import { closingLines, jsonOf, tableOf } from './harness/report.ts';

const help = `Usage: npm run bench -- NAME... [--json] [--rounds N]
       npm run bench -- --list

Each bench compares us with a peer in one run, taking turns, and ends with lines
\`NAME-VARIANT ratio R\`: our cost divided by the peer's, below 1 is better.
It makes its own hosts and engines, and needs root.

  --json       figures as JSON on standard output, the account on standard error
  --rounds N   measure each thing N times (default: the bench's own)
  --list       names and questions
  -h, --help   this text`;

const options = {
  json: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  list: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

function fail(code: number, text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(code);
}

function parse() {
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (error) {
    return fail(2, `${(error as Error).message}; try --help`);
  }
}

const { values, positionals } = parse();
const names = globSync('*.ts', { cwd: import.meta.dirname })
  .map((file) => basename(file, '.ts'))
  .filter((name) => name !== 'main' && !name.endsWith('.test'))
  .sort();

async function load(name: string): Promise<Bench> {
  return ((await import(`./${name}.ts`)) as { bench: Bench }).bench;
}

async function main(): Promise<void> {
  if (values.help || (positionals.length === 0 && !values.list)) {
    process.stdout.write(`${help}\n\nBenches: ${names.join(', ')}\n`);
    process.exit(values.help ? 0 : 2);
  }
  if (values.list) {
    const benches = await Promise.all(names.map(load));
    const rows = benches.map((bench) => [bench.name, bench.about]);
    process.stdout.write(`${formatTable(['NAME', 'QUESTION'], rows)}\n`);
    return;
  }
  const unknown = positionals.filter((name) => !names.includes(name));
  if (unknown.length > 0) fail(2, `no bench named ${unknown.join(', ')}; there are ${names.join(', ')}`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))
    fail(2, `--rounds takes a whole number above 0`);
  if (process.getuid?.() !== 0) fail(1, 'a bench makes hosts and engines: run it as root');
  installPackages([...runtimePackages, ...testPackages]);
  for (const name of positionals) await runOne(await load(name), rounds);
}

async function runOne(bench: Bench, rounds: number | undefined): Promise<void> {
  const say = (text: string): boolean => process.stderr.write(`==> ${bench.name}: ${text}\n`);
  const figures = await bench.run({ rounds: rounds ?? bench.rounds, say });
  if (values.json) {
    process.stdout.write(`${jsonOf(bench.name, figures)}\n`);
    process.stderr.write(`${tableOf(figures)}\n${closingLines(bench.name, figures).join('\n')}\n`);
    return;
  }
  process.stdout.write(`${tableOf(figures)}\n\n${closingLines(bench.name, figures).join('\n')}\n`);
}

try {
  await main();
  process.exit(0);
} catch (error) {
  fail(1, `bench failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}
