/** A child process with the event loop standing still: for commands of a few milliseconds whose caller must not be interleaved. */
import { spawnSync } from 'node:child_process';
import { CommandError, type CommandFailure, type CommandOptions, type CommandResult } from './command.ts';

const maxOutputBytes = 16 * 1024 * 1024;

/** Throws CommandError unless the exit code is 0. */
export function runCommandSync(
  file: string,
  args: readonly string[],
  options: Pick<CommandOptions, 'timeoutMs' | 'input'>,
): CommandResult {
  const { error, status, signal, stdout, stderr } = spawnSync(file, args, {
    env: { ...process.env, LC_ALL: 'C' },
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: maxOutputBytes,
    encoding: 'utf8',
    ...(options.input !== undefined && { input: options.input }),
  });
  const output = { stdout: stdout ?? '', stderr: stderr ?? '' };
  if (error === undefined && status === 0) return output;
  const [reason, explanation] = failure(error, status, signal, options.timeoutMs);
  throw new CommandError({ reason, explanation, file, args, exitCode: status, ...output, cause: error });
}

function failure(
  error: NodeJS.ErrnoException | undefined,
  status: number | null,
  signal: string | null,
  timeoutMs: number,
): [CommandFailure, string] {
  if (error?.code === 'ETIMEDOUT') return ['timeout', `did not end within ${timeoutMs} ms`];
  if (error?.code === 'ENOBUFS') return ['output', `wrote more than ${maxOutputBytes} bytes`];
  if (error !== undefined) return ['spawn', 'could not be started'];
  return ['exit', status === null ? `was ended by ${signal}` : `ended with exit code ${status}`];
}
