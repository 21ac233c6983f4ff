/** Our daemons on this machine for the quick start and the lab: used when they run, started when not, stopped if they are ours. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { callControl, type DaemonName, runningDaemons } from '../../plugins/cli/control.ts';
import { findBackground, startBackground, stopBackground } from './background.ts';
import { cacheDir } from './cache.ts';
import { say } from './step.ts';

export const runDir = '/run/cleat';

/** Where everything is that was started for the quick start or the lab. */
export function ownFolder(): string {
  return join(cacheDir(), 'quickstart');
}

const processOf = (name: DaemonName) => ({ folder: ownFolder(), name: `cleat-${name}` });

/** True when it was started now; false when one is running already. */
export async function ensureDaemon(
  name: DaemonName,
  ready: () => Promise<boolean> = () => answers(name),
): Promise<boolean> {
  if (await answers(name)) return false;
  say(`starting cleat-${name}`);
  const file = fileURLToPath(new URL(`../../bin/cleat-${name}`, import.meta.url));
  const args = ['--run-dir', runDir, '--state-dir', join(ownFolder(), 'state')];
  await startBackground(processOf(name), { file, args, ready });
  return true;
}

/** Stops it if it is ours: first what it made on this host, as nobody needs that any more, then the process. */
export async function stopDaemon(name: DaemonName): Promise<void> {
  if (findBackground(processOf(name)) === undefined) return;
  if (name === 'networkd') {
    try {
      await callControl(runDir, name, 'POST', '/purge');
    } catch (error) {
      say(`cleat-${name} could not remove everything: ${(error as Error).message}`);
    }
  }
  await stopBackground(processOf(name));
  say(`stopped cleat-${name}`);
}

export function isOurs(name: DaemonName): boolean {
  return findBackground(processOf(name)) !== undefined;
}

async function answers(name: DaemonName): Promise<boolean> {
  return (await runningDaemons(runDir)).includes(name);
}
