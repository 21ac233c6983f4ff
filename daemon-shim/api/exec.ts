/** `/containers/{id}/exec` and `/exec/{id}/…`. Starting one is a hijacked connection (hijack.ts) unless it is detached. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { emitContainerEvent } from '../container/event.ts';
import type { Engine } from '../engine.ts';
import { createExec, findExec, inspectExec } from '../exec/create.ts';
import { claimExec, startExec } from '../exec/start.ts';
import { parseDetachKeys } from '../runtime/detach-keys.ts';
import { encodeFrame } from '../runtime/frame.ts';
import { badRequest, conflict } from './api-error.ts';
import { clientListener, feedInput } from './client-stream.ts';
import { asObject, flagField } from './fields.ts';
import type { Accept, HijackRequest } from './hijack.ts';
import { parseInteger, queryOf } from './query.ts';

export function execRoutes(app: FastifyInstance, engine: Engine): void {
  app.post('/containers/:id/exec', async (request, reply) => {
    const session = createExec(engine, idOf(request), request.body);
    await reply.code(201).send({ Id: session.id });
  });

  // Without `Upgrade`: detached, or a client that only wants to be told.
  app.post('/exec/:id/start', async (request, reply) => {
    const { container, session } = findExec(engine, idOf(request));
    const body = asObject(request.body ?? {}, 'body');
    if (!flagField(body, 'Detach', false))
      throw badRequest('exec start without "Detach" needs a connection that is upgraded (Upgrade: tcp)');
    const { ended } = await startExec(engine, container, session, () => {});
    void ended;
    await reply.code(200).send();
  });

  app.get('/exec/:id/json', async (request) => {
    const { container, session } = findExec(engine, idOf(request));
    return inspectExec(container, session);
  });

  app.post('/exec/:id/resize', async (request, reply) => {
    const { session } = findExec(engine, idOf(request));
    const { rows, columns } = sizeOf(request);
    if (session.status !== 'running') throw conflict(`exec process ${session.id} is not started yet`);
    session.streams?.resize(rows, columns);
    await reply.code(200).send();
  });
}

/** `h` and `w`; both needed, as Docker has it. */
export function sizeOf(request: FastifyRequest): { rows: number; columns: number } {
  const { h, w } = queryOf(request);
  const size = (text: string | undefined, name: string): number => {
    const value = parseInteger(text, name);
    if (value === undefined || value < 0 || value > 0xffff)
      throw badRequest(`invalid resize ${name}: "${text ?? ''}" is no number from 0 to 65535`);
    return value;
  };
  return { rows: size(h, 'height'), columns: size(w, 'width') };
}

export async function execStartRoute(
  engine: Engine,
  id: string,
  request: HijackRequest,
  accept: Accept,
): Promise<void> {
  const { container, session } = findExec(engine, id);
  const body = asObject(request.body ?? {}, 'body');
  const { tty, attachStdin, attachStdout, attachStderr, detachKeys } = session.config;
  claimExec(container, session);
  const keys = parseDetachKeys(detachKeys || undefined);
  const socket = accept(!tty);
  const size = body['ConsoleSize'];
  let stop = () => {};
  socket.on('close', () => stop());
  try {
    await startExec(engine, container, session, (streams) => {
      stop = streams.output.listen(clientListener(socket, { stdout: attachStdout, stderr: attachStderr }, !tty));
      if (tty && Array.isArray(size) && size.every((side) => Number.isInteger(side) && side > 0))
        streams.resize(Number(size[0]), Number(size[1]));
      if (!attachStdin || streams.input === undefined) {
        socket.resume();
        return;
      }
      const { input } = streams;
      feedInput(socket, input, {
        detachKeys: tty ? keys : undefined,
        onDetach: () => {
          stop();
          socket.end();
          emitContainerEvent(engine, container, 'exec_detach', { execID: session.id });
        },
        onEnd: () => input.end(),
      });
    });
  } catch (error) {
    // The connection is a stream already: the words go where the output would.
    const words = Buffer.from(`${(error as Error).message}\r\n`);
    socket.end(tty ? words : encodeFrame('stdout', words));
  }
}

function idOf(request: FastifyRequest): string {
  return (request.params as { id: string }).id;
}
