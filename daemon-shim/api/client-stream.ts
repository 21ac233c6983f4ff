/** A client's connection as one end of a container's or an exec session's streams. */
import type { Duplex } from 'node:stream';
import { DetachScanner } from '../runtime/detach-keys.ts';
import { encodeFrame } from '../runtime/frame.ts';
import type { OutputListener, OutputStream } from '../runtime/output.ts';
import type { ContainerInput } from '../runtime/stdio.ts';

/** A client that takes nothing for so long is let go, so that it cannot hold the container up for ever. */
const slowClientMs = 10_000;

/** Writes output to a client, framed unless it is a terminal's. */
export function clientListener(
  socket: Duplex,
  wanted: Readonly<Record<OutputStream, boolean>>,
  multiplexed: boolean,
): OutputListener {
  // Both streams may be written before the source has been held up: they wait together.
  let waiting: Promise<void> | undefined;
  return {
    take: (stream, chunk) => {
      if (!wanted[stream] || socket.destroyed) return undefined;
      if (socket.write(multiplexed ? encodeFrame(stream, chunk) : chunk)) return undefined;
      waiting ??= drainedOrDropped(socket).finally(() => {
        waiting = undefined;
      });
      return waiting;
    },
    end: () => socket.end(),
  };
}

function drainedOrDropped(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    const timer = setTimeout(() => {
      socket.destroy();
      done();
    }, slowClientMs);
    socket.on('drain', done);
    socket.on('close', done);
  });
}

export interface InputOptions {
  /** Bytes that end the connection and nothing else; undefined: none are looked for (no terminal). */
  readonly detachKeys: readonly number[] | undefined;
  readonly onDetach: () => void;
  /** The client has closed its half. */
  readonly onEnd: () => void;
}

/** What the client sends goes to the process, at the process's pace. */
export function feedInput(socket: Duplex, input: ContainerInput, options: InputOptions): void {
  const scanner = options.detachKeys === undefined ? undefined : new DetachScanner(options.detachKeys);
  socket.on('data', (chunk: Buffer) => {
    const { pass, detached } = scanner?.scan(chunk) ?? { pass: chunk, detached: false };
    if (pass.length > 0 && !input.write(pass)) {
      socket.pause();
      void input.drained().then(() => socket.resume());
    }
    if (!detached) return;
    socket.removeAllListeners('data');
    socket.resume();
    options.onDetach();
  });
  // A client without input closes its half at once: Node may have said so before anybody listened.
  if (socket.readableEnded) options.onEnd();
  else socket.on('end', options.onEnd);
  socket.resume();
}
