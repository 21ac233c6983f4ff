/** `lab/topology NAME [HOST [COMMAND...]]`: builds a topology and runs a shell, or a command, in one of its hosts. */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { formatTable } from '../plugins/cli/table.ts';
import type { Topology } from './topologies/topology.ts';

const names = globSync('*.ts', { cwd: join(import.meta.dirname, 'topologies') })
  .map((file) => basename(file, '.ts'))
  .filter((name) => name !== 'topology')
  .sort();
const load = async (name: string): Promise<Topology> =>
  ((await import(`./topologies/${name}.ts`)) as { topology: Topology }).topology;

const [name, hostName, ...command] = process.argv.slice(2);
if (name === undefined || !names.includes(name)) {
  const rows = await Promise.all(names.map(async (one) => [one, (await load(one)).about]));
  const help = name === '-h' || name === '--help';
  const problem = name === undefined || help ? '' : `no topology named ${name}\n\n`;
  const usage = 'Usage: lab/topology NAME [HOST [COMMAND...]]\nA shell in the first host, or a command in one of them.';
  process.stdout.write(`${problem}${usage}\n\n${formatTable(['NAME', 'WHAT'], rows)}\n`);
  process.exit(help ? 0 : 2);
}
if (process.getuid?.() !== 0) {
  process.stderr.write('error: network namespaces need root\n');
  process.exit(1);
}

const topology = await load(name);
const built = await topology.build();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
try {
  const host = built.hosts[hostName ?? Object.keys(built.hosts)[0] ?? ''];
  if (!host) throw new Error(`no host named ${hostName}; there are ${Object.keys(built.hosts).join(', ')}`);
  process.stderr.write(`${topology.drawing}\n\n`);
  for (const [label, { pid }] of Object.entries(built.hosts)) {
    process.stderr.write(`${label}: nsenter -t ${pid} -n -m -p -u\n`);
  }
  const inside = command.length > 0 ? command : ['bash'];
  const child = spawn('nsenter', ['-t', String(host.pid), '-n', '-m', '-p', '-u', ...inside], { stdio: 'inherit' });
  process.exitCode = await new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
} catch (error) {
  process.stderr.write(`error: ${(error as Error).message}\n`);
  process.exitCode = 2;
} finally {
  await built.close();
}
