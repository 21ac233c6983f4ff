/** The scripts of lab/: which there are, and one run of one. */
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { is, match } from 'uvu/assert';

export const labFolder = fileURLToPath(new URL('../../lab/', import.meta.url));

/** Those without a first line for the shell are parts that the others source. */
export const labScripts: readonly string[] = globSync('*.sh', { cwd: labFolder })
  .filter((name) => readFileSync(`${labFolder}${name}`, 'utf8').startsWith('#!'))
  .sort();

/** Throws with the script's account when one of its checks fails. */
export function passes(script: string, ...flags: readonly string[]): void {
  const done = spawnSync(`${labFolder}${script}`, flags, {
    encoding: 'utf8',
    timeout: 180_000,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  is(done.status, 0, `${done.stdout}${done.stderr}`);
  match(done.stdout, /all \d+ checks passed; everything is taken down/);
}
