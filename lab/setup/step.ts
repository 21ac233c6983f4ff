/** Running the commands of a set-up step: said first, quiet when it works, its whole output shown when it does not. */
import { spawnSync } from 'node:child_process';

export function say(text: string): void {
  process.stderr.write(`==> ${text}\n`);
}

export interface StepOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Show the command's output while it runs. */
  readonly loud?: boolean;
}

/** Runs a command to its end and returns its standard output; throws with everything it printed when it fails. */
export function runStep(file: string, args: readonly string[], options: StepOptions = {}): string {
  const done = spawnSync(file, args, {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive', ...options.env },
    stdio: ['ignore', options.loud ? 2 : 'pipe', options.loud ? 2 : 'pipe'],
    timeout: options.timeoutMs ?? 10 * 60_000,
    maxBuffer: 64 * 1024 * 1024,
  });
  const command = [file, ...args].join(' ').slice(0, 300);
  if (done.error) throw new Error(`${command}: ${done.error.message}`);
  if (done.status !== 0) {
    const output = `${done.stdout ?? ''}${done.stderr ?? ''}`.trim().split('\n').slice(-30).join('\n');
    throw new Error(`${command} ended with ${done.signal ?? done.status}:\n${output}`);
  }
  return done.stdout ?? '';
}
