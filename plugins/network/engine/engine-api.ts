/**
 * A small client of the Engine API on a unix socket (Docker's, the shim's, Podman's compatible one), for watchers. Never call
 * it in a driver's handler: the engine waits for the handler, and would never answer.
 */
import { type IncomingMessage, request } from 'node:http';

/** Bounds what a broken engine can make this process hold: ten thousand networks fit. */
const maxReplyBytes = 64 * 1024 * 1024;
const replyTimeoutMs = 20_000;

/** The engine answered with an error, or with something that is no JSON. */
export class EngineApiError extends Error {
  override readonly name: string = 'EngineApiError';
  /** HTTP status. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** GET, the JSON body of a 200. Throws EngineApiError, or what the connection failed with (ENOENT, ECONNREFUSED). */
export async function getJson(socketPath: string, path: string, signal: AbortSignal): Promise<unknown> {
  const response = await open(socketPath, path, AbortSignal.any([signal, AbortSignal.timeout(replyTimeoutMs)]));
  const body = await readBody(response);
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new EngineApiError(response.statusCode ?? 0, `GET ${path}: the reply is no JSON`);
  }
  if (response.statusCode === 200) return value;
  const message = isObject(value) && typeof value['message'] === 'string' ? value['message'] : 'no message';
  throw new EngineApiError(response.statusCode ?? 0, `GET ${path}: ${message}`);
}

/** What `docker events` shows; only the fields that are always there. */
export interface EngineEvent {
  readonly type: string;
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/**
 * Calls `onEvent` for each event until the engine ends the stream; throws when the connection fails or the signal aborts.
 * `onOpen` is called when the engine has accepted: what happens from then on is told.
 */
export async function followEvents(
  socketPath: string,
  filters: Readonly<Record<string, readonly string[]>>,
  handlers: { onOpen(): void; onEvent(event: EngineEvent): void },
  signal: AbortSignal,
): Promise<void> {
  const response = await open(socketPath, `/events?filters=${encodeURIComponent(JSON.stringify(filters))}`, signal);
  if (response.statusCode !== 200) {
    response.destroy();
    throw new EngineApiError(response.statusCode ?? 0, 'GET /events was refused');
  }
  handlers.onOpen();
  let rest = '';
  response.setEncoding('utf8');
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > maxReplyBytes) throw new EngineApiError(200, 'GET /events: a line is too long');
    for (const line of lines) if (line.trim() !== '') handlers.onEvent(readEvent(line));
  }
}

function readEvent(line: string): EngineEvent {
  const value: unknown = JSON.parse(line);
  const object = isObject(value) ? value : {};
  const actor = isObject(object['Actor']) ? object['Actor'] : {};
  return {
    type: String(object['Type'] ?? ''),
    action: String(object['Action'] ?? ''),
    id: String(actor['ID'] ?? ''),
    attributes: isObject(actor['Attributes']) ? actor['Attributes'] : {},
  };
}

function open(socketPath: string, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const call = request({ socketPath, path, signal, agent: false, headers: { host: 'docker' } }, resolve);
  call.on('error', reject);
  call.end();
  return promise;
}

async function readBody(response: IncomingMessage): Promise<string> {
  let text = '';
  response.setEncoding('utf8');
  for await (const chunk of response as AsyncIterable<string>) {
    text += chunk;
    if (text.length > maxReplyBytes) throw new EngineApiError(response.statusCode ?? 0, 'the reply is too long');
  }
  return text;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
