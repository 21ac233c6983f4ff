/** Child processes in a pipe, for streams that do not fit into memory: tar, zstd. */
import { type ChildProcess, spawn } from 'node:child_process';
import { pipeline } from 'node:stream/promises';
import { PluginError } from '../../sdk/errors.ts';

export interface Stage {
  readonly child: ChildProcess;
  /** Resolves with the exit code when the child has gone; throws VOL_BACKUP with its words when the code is not allowed. */
  readonly done: Promise<number>;
}

export function startStage(
  file: string,
  args: readonly string[],
  stdio: [in_: 'ignore' | 'pipe', out: 'ignore' | 'pipe'],
  allowed: readonly number[] = [0],
): Stage {
  const child = spawn(file, args, { stdio: [...stdio, 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  let words = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    if (words.length < 4096) words += chunk.toString();
  });
  const done = new Promise<number>((resolve, reject) => {
    child.once('error', (error) =>
      reject(new PluginError('VOL_BACKUP', `${file} could not be started`, { cause: error })),
    );
    child.once('close', (code) => {
      if (code !== null && allowed.includes(code)) resolve(code);
      else
        reject(
          new PluginError(
            'VOL_BACKUP',
            `${file} failed: ${words.trim().split('\n').slice(0, 3).join('; ') || `exit code ${code}`}`,
          ),
        );
    });
  });
  // Looked at later; until then a failure must not end the process.
  done.catch(() => {});
  return { child, done };
}

/**
 * Feeds a child. Its end of the pipe may be gone a moment before ours has noticed that all was written, which node reports as
 * a premature close: whether the child had all it needed, its exit code and the checksum say.
 */
export async function feed(
  ...streams: readonly [NodeJS.ReadableStream, NodeJS.ReadWriteStream, NodeJS.WritableStream]
): Promise<void> {
  try {
    await pipeline(...streams);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ERR_STREAM_PREMATURE_CLOSE' && code !== 'EPIPE') throw error;
  }
}
