/** `attach`: the container's streams on the client's connection. */
import type { Duplex } from 'node:stream';
import { emitContainerEvent } from '../container/event.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { openReading, readLogs } from '../log/read-logs.ts';
import { parseDetachKeys } from '../runtime/detach-keys.ts';
import { conflict } from './api-error.ts';
import { clientListener, feedInput } from './client-stream.ts';
import type { Accept, HijackRequest } from './hijack.ts';
import { isTrue } from './query.ts';

export async function attachRoute(engine: Engine, name: string, request: HijackRequest, accept: Accept): Promise<void> {
  const container = engine.containers.get(name);
  const { query } = request;
  if (container.state.status === 'paused')
    throw conflict(`container ${container.id} is paused, unpause the container before attach`);
  if (container.state.status === 'restarting')
    throw conflict(`container ${container.id} is restarting, wait until the container is running`);
  const detachKeys = parseDetachKeys(query.get('detachKeys') ?? undefined);
  const multiplexed = !container.record.config.Tty;
  const socket = accept(multiplexed);
  const wanted = { stdout: isTrue(query.get('stdout')), stderr: isTrue(query.get('stderr')) };
  const stream = isTrue(query.get('stream'));
  if (isTrue(query.get('logs'))) await sendPast(engine, container, socket, wanted);
  if (!stream) {
    socket.end();
    return;
  }
  const gone = new AbortController();
  socket.on('close', () => gone.abort());
  await container.whenStreams(gone.signal);
  const { streams } = container;
  if (streams === undefined) {
    socket.end();
    return;
  }
  const stop = streams.output.listen(clientListener(socket, wanted, multiplexed));
  socket.on('close', stop);
  emitContainerEvent(engine, container, 'attach');
  const { input } = streams;
  if (!isTrue(query.get('stdin')) || input === undefined) {
    socket.resume();
    return;
  }
  const { Tty: terminal, StdinOnce: once } = container.record.config;
  feedInput(socket, input, {
    detachKeys: terminal ? detachKeys : undefined,
    onDetach: () => {
      stop();
      socket.end();
      emitContainerEvent(engine, container, 'detach');
    },
    onEnd: () => {
      if (once && !terminal) input.end();
    },
  });
}

/** `logs=1`: what was written before. */
async function sendPast(
  engine: Engine,
  container: Container,
  socket: Duplex,
  wanted: { stdout: boolean; stderr: boolean },
): Promise<void> {
  const gone = new AbortController();
  socket.on('close', () => gone.abort());
  const request = { ...wanted, timestamps: false, config: { follow: false } };
  const reading = await openReading(engine, container);
  for await (const chunk of readLogs(reading, container, request, gone.signal)) socket.write(chunk);
}
