/**
 * Child processes: no shell, messages in the C locale, a deadline, a cap on what is kept of the output. A failure keeps the
 * command's own words. Never starts anything in the background: the promise settles when the child is gone.
 */
import type { Socket } from 'node:net';
import { type Child, openPipe, startChild } from './child.ts';
import { inNetns, type Netns } from './netns.ts';
import { closeFd } from './syscall.ts';

export interface CommandOptions {
  /** The child gets SIGTERM at this time and SIGKILL half a second later. */
  readonly timeoutMs: number;
  /** Written to standard input, which is then closed. */
  readonly input?: string | Uint8Array;
  /** Added to our own environment; LC_ALL is always C. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** The network namespace that the child runs in; it may be closed when this returns. */
  readonly netns?: Netns;
  /** The child is ended when either stream exceeds this; default 16 MiB. */
  readonly maxOutputBytes?: number;
  readonly signal?: AbortSignal;
}

export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
}

/** Why a command failed: it could not be started, said no, took too long, was aborted, or wrote too much. */
export type CommandFailure = 'spawn' | 'exit' | 'timeout' | 'aborted' | 'output';

export interface CommandErrorFields {
  readonly reason: CommandFailure;
  readonly file: string;
  readonly args: readonly string[];
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly explanation: string;
  readonly cause?: unknown;
}

export class CommandError extends Error {
  override readonly name: string = 'CommandError';
  readonly reason: CommandFailure;
  readonly file: string;
  readonly args: readonly string[];
  /** null when the child was ended by a signal or never ran. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;

  constructor(fields: CommandErrorFields) {
    const words = fields.stderr.trim().replaceAll(/\s*\n\s*/g, '; ');
    super(
      `${[fields.file, ...fields.args].join(' ')} ${fields.explanation}${words && `: ${words}`}`,
      fields.cause === undefined ? undefined : { cause: fields.cause },
    );
    this.reason = fields.reason;
    this.file = fields.file;
    this.args = fields.args;
    this.exitCode = fields.exitCode;
    this.stdout = fields.stdout;
    this.stderr = fields.stderr;
  }
}

const killGraceMs = 500;
/** A grandchild that lives on (mount.nfs starts rpc.statd) keeps the pipes open: they are not waited for longer than this. */
const drainGraceMs = 250;
const defaultMaxOutputBytes = 16 * 1024 * 1024;

/** Runs to completion; throws CommandError unless the exit code is 0. The child is forked before this returns. */
export function runCommand(file: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  const { promise, resolve, reject } = Promise.withResolvers<CommandResult>();
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const fail = (reason: CommandFailure, explanation: string, exitCode: number | null, cause?: unknown): void => {
    const output = { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
    reject(new CommandError({ reason, explanation, file, args, exitCode, ...output, cause }));
  };
  if (options.signal?.aborted) {
    fail('aborted', 'was not started: already aborted', null, options.signal.reason);
    return promise;
  }

  const input = options.input === undefined ? undefined : openPipe('write');
  const [out, errors] = [openPipe('read'), openPipe('read')];
  const pipes = [...(input ? [input] : []), out, errors];
  let child: Child;
  try {
    child = startWith(file, args, options, [input?.theirs ?? 'ignore', out.theirs, errors.theirs]);
  } catch (error) {
    for (const { ours } of pipes) ours.destroy();
    fail('spawn', 'could not be started', null, error);
    return promise;
  } finally {
    for (const { theirs } of pipes) closeFd(theirs);
  }
  let ended: { reason: CommandFailure; explanation: string } | undefined;
  let killTimer: NodeJS.Timeout | undefined;
  const end = (reason: CommandFailure, explanation: string): void => {
    if (ended) return;
    ended = { reason, explanation };
    child.kill('SIGTERM');
    killTimer = setTimeout(() => child.kill('SIGKILL'), killGraceMs);
  };

  const deadline = setTimeout(() => end('timeout', `did not end within ${options.timeoutMs} ms`), options.timeoutMs);
  const onAbort = (): void => end('aborted', 'was aborted');
  options.signal?.addEventListener('abort', onAbort, { once: true });
  const maxBytes = options.maxOutputBytes ?? defaultMaxOutputBytes;
  const overflow = (): void => end('output', `wrote more than ${maxBytes} bytes`);
  const drained = [collect(out.ours, stdout, maxBytes, overflow), collect(errors.ours, stderr, maxBytes, overflow)];
  if (input) feed(input.ours, options.input ?? '');

  void child.exited.then(async ({ code, signal }) => {
    clearTimeout(deadline);
    clearTimeout(killTimer);
    const grace = setTimeout(() => {
      for (const { ours } of pipes) ours.destroy();
    }, drainGraceMs);
    await Promise.all(drained);
    clearTimeout(grace);
    input?.ours.destroy();
    options.signal?.removeEventListener('abort', onAbort);
    if (ended) fail(ended.reason, ended.explanation, code ?? null, options.signal?.reason);
    else if (code === 0)
      resolve({ stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    else fail('exit', code === undefined ? `was ended by ${signal}` : `ended with exit code ${code}`, code ?? null);
  });
  return promise;
}

/** The child inherits the network namespace of the thread. */
function startWith(
  file: string,
  args: readonly string[],
  { env, cwd, netns }: CommandOptions,
  descriptors: readonly (number | 'ignore')[],
): Child {
  const start = (): Child =>
    startChild(file, args, {
      env: { ...process.env, ...env, LC_ALL: 'C' },
      ...(cwd === undefined ? {} : { cwd }),
      descriptors,
    });
  return netns ? inNetns(netns, start) : start();
}

/** Settles at the end of the stream. */
function collect(stream: Socket, chunks: Buffer[], maxBytes: number, onTooMuch: () => void): Promise<void> {
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= maxBytes) chunks.push(chunk);
    else onTooMuch();
  });
  stream.on('error', () => stream.destroy());
  return new Promise((resolve) => stream.once('close', () => resolve()));
}

function feed(stream: Socket, input: string | Uint8Array): void {
  // A command that ends without reading its input breaks the pipe; its exit code says whether that was a failure.
  stream.on('error', () => stream.destroy());
  stream.end(input);
}
