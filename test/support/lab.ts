/** The scripts of lab/: which there are, and one run of one. */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { match } from 'uvu/assert';
import { CommandError, type CommandResult } from '../../plugins/linux/command.ts';
import type { Host } from './host.ts';

export const labFolder = fileURLToPath(new URL('../../lab/', import.meta.url));

/** Those without a first line for the shell are parts that the others source. */
export const labScripts: readonly string[] = globSync('*.sh', { cwd: labFolder })
  .filter((name) => readFileSync(`${labFolder}${name}`, 'utf8').startsWith('#!'))
  .sort();

/** Runs one on the engine of a host; throws with its account when one of its checks fails. */
export async function passesIn(
  host: Host,
  script: string,
  env: Readonly<Record<string, string>>,
): Promise<CommandResult> {
  const options = { timeoutMs: 180_000, env: { CLEAT_CACHE: `${host.dir}/cache`, ...env } };
  const result = await host.run(`${labFolder}${script}`, [], options).catch((error: unknown) => {
    if (error instanceof CommandError)
      throw new Error(`${error.reason}, exit code ${error.exitCode}\n${error.stdout}${error.stderr}`);
    throw error;
  });
  match(result.stdout, /all \d+ checks passed; everything is taken down/);
  return result;
}
