/** Routes of cleat-logd's control socket, for `cleat log`. */
import { statSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { PluginError } from '../sdk/errors.ts';
import type { ReadConfig } from '../sdk/log-plugin.ts';
import { LogFrameDecoder } from '../sdk/protocol/log-frame-decoder.ts';
import type { DeliveryStats } from './delivery/delivery.ts';
import type { LogFile } from './files/log-files.ts';
import type { ContainerRecord, LogSessions } from './sessions.ts';

/** One log, as `cleat log ls` shows it. */
export interface LogStatus {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  /** FIFOs open now. */
  readonly sessions: number;
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  /** Since the daemon started, or the log was last opened; absent while nothing happens to it. */
  readonly lines: number | undefined;
  readonly bytes: number | undefined;
  readonly dropped: number | undefined;
  readonly damaged: number | undefined;
  readonly delivery: DeliveryStats | undefined;
}

export function logControl(sessions: LogSessions, enforce: () => void): (app: FastifyInstance) => void {
  return (app) => {
    const closing = new AbortController();
    app.addHook('preClose', async () => closing.abort());
    app.get('/status', async () => ({
      logs: sessions.containers.map(([id, record]) => row(logStatus(sessions, id, record))),
    }));
    app.get('/logs', async () => sessions.containers.map(([id, record]) => logStatus(sessions, id, record)));
    app.get<{ Params: { name: string } }>('/logs/:name', async ({ params }) => {
      const { id, record } = sessions.find(params.name);
      return logStatus(sessions, id, record);
    });
    app.post('/retention', async () => {
      enforce();
      return {};
    });
    app.get<{ Params: { name: string }; Querystring: Record<string, string> }>(
      '/logs/:name/read',
      async (request, reply) => {
        const { record } = sessions.find(request.params.name);
        const gone = new AbortController();
        reply.raw.once('close', () => gone.abort());
        const signal = AbortSignal.any([gone.signal, closing.signal]);
        const frames = sessions.readRecord(record, readConfig(request.query), signal);
        return reply.type('application/x-ndjson').send(Readable.from(asJsonLines(frames, closing.signal)));
      },
    );
  };
}

function readConfig(query: Readonly<Record<string, string>>): ReadConfig {
  const { tail, since, until, follow } = query;
  return {
    follow: follow === 'true',
    ...(tail !== undefined && { tail: Number(tail) }),
    ...(since !== undefined && { sinceNano: BigInt(since) }),
    ...(until !== undefined && { untilNano: BigInt(until) }),
  };
}

/** Throws when the daemon ends, so that what was read does not look complete. */
async function* asJsonLines(frames: AsyncIterable<Buffer>, closing: AbortSignal): AsyncGenerator<string> {
  let lines: string[] = [];
  const decoder = new LogFrameDecoder((frame) => {
    lines.push(
      JSON.stringify({ time: frame.timeNano.toString(), stream: frame.source, text: frame.line.toString('utf8') }),
    );
  });
  for await (const chunk of frames) {
    decoder.push(chunk);
    if (lines.length > 0) yield `${lines.join('\n')}\n`;
    lines = [];
  }
  closing.throwIfAborted();
}

function logStatus(sessions: LogSessions, id: string, record: ContainerRecord): LogStatus {
  const open = sessions.openLog(id);
  return {
    id,
    name: record.info.containerName.replace(/^\//, ''),
    driver: record.driver,
    sessions: open?.sessions ?? 0,
    files: filesOf(sessions, id, record).map(({ path }) => ({
      path,
      bytes: statSync(path, { throwIfNoEntry: false })?.size ?? 0,
    })),
    lines: open?.writer.written.lines,
    bytes: open?.writer.written.bytes,
    dropped: open && open.drops.total.lines + (open.delivery?.stats().droppedLines ?? 0),
    damaged: open?.damaged.places,
    delivery: open?.delivery?.stats(),
  };
}

function filesOf(sessions: LogSessions, id: string, record: ContainerRecord): readonly LogFile[] {
  const open = sessions.openLog(id);
  if (open !== undefined) return open.files.all;
  try {
    return sessions.prepared(record).files(sessions.place(id)).all;
  } catch (error) {
    // An earlier version took options that this one refuses: the others are listed all the same.
    if (error instanceof PluginError) return [];
    throw error;
  }
}

/** Flat, for `cleat status`. */
function row({ id, name, driver, sessions, lines, dropped, files, delivery }: LogStatus): object {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return {
    name,
    driver,
    sessions,
    lines,
    bytes,
    dropped,
    files: files.length,
    server: delivery?.destination,
    spooled: delivery?.spooledBytes,
    id: id.slice(0, 12),
  };
}
