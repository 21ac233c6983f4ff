/** Sends chunks as they come, no faster than the client reads, and stops the source when the client leaves. */
import { once } from 'node:events';
import type { FastifyReply } from 'fastify';
import { untilAborted } from './lock-queue.ts';

/** How long the first chunk may take before the headers go out: an error within this time is a proper error reply. */
const FIRST_CHUNK_MS = 100;

/**
 * Throws only before anything was sent. A source that fails later, or a server that closes, cuts the connection, so that the
 * client sees a broken stream and not a complete one; `onBroken` hears of a failure.
 */
export async function sendStream(
  reply: FastifyReply,
  open: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  closing: AbortSignal,
  onBroken: (error: unknown) => void,
): Promise<void> {
  const gone = new AbortController();
  const signal = AbortSignal.any([gone.signal, closing]);
  const leave = () => gone.abort(new Error('the client left'));
  reply.raw.once('close', leave);
  const iterator = open(signal)[Symbol.asyncIterator]();
  try {
    let pending = iterator.next();
    await Promise.race([pending, new Promise((resolve) => setTimeout(resolve, FIRST_CHUNK_MS).unref())]);
    reply.hijack();
    const raw = reply.raw;
    raw.writeHead(200, { 'content-type': 'application/octet-stream' });
    raw.flushHeaders();
    try {
      for (;;) {
        const chunk = await untilAborted(pending, signal);
        // A source that was told to end is not at its end.
        signal.throwIfAborted();
        if (chunk.done) break;
        if (!raw.write(chunk.value)) await once(raw, 'drain', { signal });
        pending = iterator.next();
      }
      raw.end();
    } catch (error) {
      if (!signal.aborted) onBroken(error);
      // What was written goes out, the mark of the end does not.
      raw.socket?.destroySoon();
    }
  } finally {
    reply.raw.off('close', leave);
    leave();
    // Not awaited: a source that is stuck in a read ends when its signal tells it.
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}
