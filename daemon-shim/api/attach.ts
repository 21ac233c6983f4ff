/** `attach`: the container's streams on the client's connection. */
import type { Duplex } from 'node:stream';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { encodeFrame } from '../runtime/frame.ts';
import type { OutputListener, OutputStream } from '../runtime/output.ts';
import { conflict } from './api-error.ts';
import type { Accept, HijackRequest } from './hijack.ts';
import { isTrue } from './query.ts';

/** A client that takes nothing for so long is let go, so that it cannot hold the container up for ever. */
const slowClientMs = 10_000;

export async function attachRoute(engine: Engine, name: string, request: HijackRequest, accept: Accept): Promise<void> {
  const container = engine.containers.get(name);
  if (container.state.status === 'paused')
    throw conflict(`container ${container.id} is paused, unpause the container before attach`);
  const { query } = request;
  const multiplexed = !container.record.config.Tty;
  const socket = accept(multiplexed);
  const wanted: Readonly<Record<OutputStream, boolean>> = {
    stdout: isTrue(query.get('stdout')),
    stderr: isTrue(query.get('stderr')),
  };
  await container.whenStreams();
  const { streams } = container;
  if (streams === undefined) {
    socket.end();
    return;
  }
  const stop = isTrue(query.get('stream'))
    ? streams.output.listen(clientListener(socket, wanted, multiplexed))
    : () => socket.end();
  socket.on('close', stop);
  if (isTrue(query.get('stdin'))) feedInput(container, socket);
}

/** Writes output to a client, framed unless it is a terminal's. */
export function clientListener(
  socket: Duplex,
  wanted: Readonly<Record<OutputStream, boolean>>,
  multiplexed: boolean,
): OutputListener {
  return {
    take: (stream, chunk) => {
      if (!wanted[stream] || socket.destroyed) return undefined;
      if (socket.write(multiplexed ? encodeFrame(stream, chunk) : chunk)) return undefined;
      return drainedOrDropped(socket);
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

function feedInput(container: Container, socket: Duplex): void {
  const input = container.streams?.input;
  if (input === undefined) {
    socket.resume();
    return;
  }
  socket.on('data', (chunk: Buffer) => {
    if (input.write(chunk)) return;
    socket.pause();
    void input.drained().then(() => socket.resume());
  });
  socket.on('end', () => {
    if (container.record.config.StdinOnce && !container.record.config.Tty) input.end();
  });
  socket.resume();
}
