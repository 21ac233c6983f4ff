/** Answers that are written bit by bit: progress lines, archives, events. What is known goes out at once. */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ProgressLine } from '../image/progress.ts';
import { commonHeaders } from './version.ts';

/** A request's body as it came; routes with archives leave it unparsed. */
export function bodyStream(request: FastifyRequest): AsyncIterable<Buffer> {
  return (request.body as Readable | undefined) ?? request.raw;
}

/**
 * Runs `work`, which reports lines of JSON. A failure before the first line is an ordinary error; one after it is a line of
 * its own, `{"errorDetail": …}`, which the client turns into its exit code. With `atOnce` every failure is such a line.
 */
export async function streamProgress(
  reply: FastifyReply,
  work: (report: (line: ProgressLine) => void) => Promise<void>,
  { atOnce = false }: { readonly atOnce?: boolean } = {},
): Promise<void> {
  let started = atOnce;
  if (atOnce) startStream(reply, 'application/json');
  const write = (line: ProgressLine) => {
    if (!started) startStream(reply, 'application/json');
    started = true;
    if (!reply.raw.destroyed) reply.raw.write(`${JSON.stringify(line)}\r\n`);
  };
  try {
    await work(write);
  } catch (error) {
    if (!started) throw error;
    const message = error instanceof Error ? error.message : String(error);
    write({ errorDetail: { message }, error: message });
  }
  if (!started) startStream(reply, 'application/json');
  reply.raw.end();
}

/** The headers, now. */
export function startStream(reply: FastifyReply, type: string): void {
  reply.hijack();
  reply.raw.writeHead(200, { ...commonHeaders, 'Content-Type': type });
  reply.raw.flushHeaders();
}

/**
 * Sends bytes with the client's own speed. An error before the first byte is an ordinary one; later the connection is cut,
 * so that the client does not take half of it for all.
 */
export async function streamBytes(reply: FastifyReply, type: string, source: AsyncIterable<Buffer>): Promise<void> {
  const { raw } = reply;
  const iterator = source[Symbol.asyncIterator]();
  let next = await iterator.next();
  startStream(reply, type);
  const closed = once(raw, 'close');
  try {
    while (next.done !== true) {
      if (raw.destroyed) break;
      if (!raw.write(next.value)) await Promise.race([once(raw, 'drain'), closed]);
      next = await iterator.next();
    }
    raw.end();
  } catch (error) {
    raw.destroy();
    throw error;
  } finally {
    await iterator.return?.(undefined);
  }
}
