/**
 * What runc keeps of a container, in two places where another process of it for each would cost a tenth of a second: the word
 * to go, and forgetting what has ended. Both are what `runc start` and `runc delete` do, for containers without hooks.
 *
 *     STATE_DIR/ID/state.json     what runc knows
 *     STATE_DIR/ID/exec.fifo      the created process waits in open(2) for a reader, writes one byte and runs its program
 */
import { constants, existsSync, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { OciRuntime } from './oci-runtime.ts';

/** False when runc has to be asked: no container of it is waiting there, or it did not answer. */
export async function tellToGo(runtime: OciRuntime, id: string, timeoutMs: number): Promise<boolean> {
  const fifo = stateFile(runtime, id, 'exec.fifo');
  if (fifo === undefined || !existsSync(fifo)) return false;
  const pipe = new Socket({ fd: openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK), readable: true });
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), timeoutMs);
  pipe.once('data', () => resolve(true));
  pipe.once('close', () => resolve(false));
  pipe.on('error', () => resolve(false));
  try {
    const went = await promise;
    if (went) rmSync(fifo, { force: true });
    return went;
  } finally {
    clearTimeout(timer);
    pipe.destroy();
  }
}

/** Of a container whose processes and control groups are gone; false when the runtime has to be asked. */
export function forget(runtime: OciRuntime, id: string): boolean {
  const folder = stateFile(runtime, id, '');
  if (folder === undefined) return false;
  rmSync(folder, { recursive: true, force: true });
  return true;
}

function stateFile({ isPlainRunc, stateDir }: OciRuntime, id: string, name: string): string | undefined {
  return isPlainRunc && stateDir !== undefined ? join(stateDir, id, name) : undefined;
}
