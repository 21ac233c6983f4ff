/** `/containers/{id}/logs`: a stream whose headers go out before the first line exists. */
import type { FastifyReply } from 'fastify';
import { findDurationMs, parseTimestamp } from '../../plugins/sdk/index.ts';
import type { Container } from '../container/registry.ts';
import type { Engine } from '../engine.ts';
import { type LogsRequest, openReading, readLogs } from '../log/read-logs.ts';
import { encodeFrame } from '../runtime/frame.ts';
import { badRequest } from './api-error.ts';
import { isTrue, type Query } from './query.ts';

export async function sendLogs(engine: Engine, container: Container, query: Query, reply: FastifyReply): Promise<void> {
  const request = parseLogsQuery(query, container.isRunning);
  // Refusals are answered as errors while the status can still be chosen.
  const reading = await openReading(engine, container);
  const multiplexed = !container.record.config.Tty;
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, {
    'Content-Type': multiplexed ? 'application/vnd.docker.multiplexed-stream' : 'application/vnd.docker.raw-stream',
  });
  raw.flushHeaders();
  const gone = new AbortController();
  raw.on('close', () => gone.abort());
  try {
    for await (const chunk of readLogs(reading, container, request, gone.signal)) {
      if (!raw.write(chunk)) await drainedOrClosed(raw);
    }
  } catch (error) {
    const message = Buffer.from(`Error grabbing logs: ${(error as Error).message}\n`);
    raw.write(multiplexed ? encodeFrame('error', message) : message);
  }
  raw.end();
}

function parseLogsQuery(query: Query, running: boolean): LogsRequest {
  const stdout = isTrue(query['stdout']);
  const stderr = isTrue(query['stderr']);
  if (!stdout && !stderr) throw badRequest('Bad parameters: you must choose at least one stream');
  const sinceNano = parseTime(query['since'], 'since');
  const untilNano = parseTime(query['until'], 'until');
  const tail = parseTail(query['tail']);
  return {
    stdout,
    stderr,
    timestamps: isTrue(query['timestamps']),
    config: {
      follow: isTrue(query['follow']) && running,
      ...(sinceNano === undefined ? {} : { sinceNano }),
      ...(untilNano === undefined ? {} : { untilNano }),
      ...(tail === undefined ? {} : { tail }),
    },
  };
}

/** `all`, nothing, or what is no number: everything, as Docker takes it. */
function parseTail(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : undefined;
}

/** `seconds.nanoseconds` of today's clients, RFC 3339, or a duration back from now. */
function parseTime(text: string | undefined, name: string): bigint | undefined {
  if (text === undefined || text === '' || text === '0') return undefined;
  const [, seconds, fraction = ''] = /^([0-9]+)(?:\.([0-9]{1,9}))?$/.exec(text) ?? [];
  if (seconds !== undefined) return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
  const durationMs = findDurationMs(text);
  const nanos =
    durationMs === undefined ? parseTimestamp(text) : BigInt(Math.round(Date.now() - durationMs)) * 1_000_000n;
  if (nanos === undefined) throw badRequest(`invalid value for "${name}": "${text}"`);
  return nanos;
}

function drainedOrClosed(raw: FastifyReply['raw']): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      raw.off('drain', done);
      raw.off('close', done);
      resolve();
    };
    raw.on('drain', done);
    raw.on('close', done);
    if (raw.destroyed) done();
  });
}
