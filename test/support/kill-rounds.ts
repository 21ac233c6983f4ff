/** kill -9 of a daemon at random moments under a loop of commands of its engine. */
import { setTimeout as delay } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import type { Daemon } from './daemon.ts';
import { eventually } from './deadline.ts';
import type { Engine } from './engine.ts';

export interface KillRounds {
  readonly daemon: Daemon;
  readonly engine: Engine;
  readonly rounds: number;
  /** Arguments of the docker commands that a worker runs one after the other in its n-th turn. */
  readonly turnOf: (worker: number, turn: number) => readonly (readonly string[])[];
  /** What must hold while the daemon is down. */
  readonly whileDown: (round: number) => Promise<void>;
}

/** Two workers, until the daemon is up again after the last kill. Throws when a command hangs. Prints how many there were. */
export async function killUnderLoad({ daemon, engine, rounds, turnOf, whileDown }: KillRounds): Promise<void> {
  let stop = false;
  let commands = 0;
  let slowestMs = 0;
  const load = Array.from({ length: 2 }, async (_, worker) => {
    for (let turn = 0; !stop; turn++) {
      for (const command of turnOf(worker, turn)) {
        const started = performance.now();
        // A command may fail when its daemon dies under it; it must come back, and the next must be possible.
        await engine.dockerWith({ timeoutMs: 110_000 }, ...command).catch((error: Error & { reason?: string }) => {
          assert.is.not(error.reason, 'timeout', `${command.join(' ')} hangs`);
        });
        slowestMs = Math.max(slowestMs, performance.now() - started);
        commands += 1;
      }
    }
  });
  for (let round = 0; round < rounds; round++) {
    await delay(Math.random() * 1500);
    await daemon.kill();
    await whileDown(round);
    await daemon.start();
  }
  stop = true;
  await Promise.all(load);
  process.stdout.write(`# ${rounds} kills, ${commands} commands, slowest ${(slowestMs / 1000).toFixed(1)} s\n`);
}

/** All containers, and the networks of that driver, which may hang on something half done for a while. */
export async function removeEverything({ docker }: Engine, driver: string, networks: readonly string[]): Promise<void> {
  await eventually(
    'the engine to remove everything',
    async () => {
      const containers = (await docker('ps', '-aq')).split('\n').filter(Boolean);
      if (containers.length > 0) await docker('rm', '-f', ...containers);
      for (const network of networks) await docker('network', 'rm', network).catch(() => '');
      return (await docker('network', 'ls', '-q', '--filter', `driver=${driver}`)) === '';
    },
    { timeoutMs: 120_000, everyMs: 500 },
  );
}
