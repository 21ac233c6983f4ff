/**
 * Names of servers to addresses. getaddrinfo runs on the thread pool, which file operations share: one look-up per name at a
 * time, however many containers ask, and answers are shared for a moment.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

const shareMs = 1000;
const running = new Map<string, Promise<readonly string[]>>();

/** Addresses in the order of preference. Rejects with the resolver's error, or when the signal aborts. */
export async function resolveHost(host: string, signal: AbortSignal): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  let answer = running.get(host);
  if (answer === undefined) {
    answer = lookup(host, { all: true }).then((found) => found.map(({ address }) => address));
    running.set(host, answer);
    const forget = (): void => {
      setTimeout(() => running.delete(host), shareMs).unref();
    };
    answer.then(forget, forget);
  }
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([answer, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
