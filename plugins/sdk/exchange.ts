/** One HTTP exchange with a plugin: POST, headers as an engine sends them, the reply as it comes. */
import { readFileSync } from 'node:fs';
import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { PluginError } from './errors.ts';
import type { PluginAddress } from './spec-file.ts';

/** What engines accept as plugins' content type; some plugins look at it. */
const ACCEPT = 'application/vnd.docker.plugins.v1.2+json';
/** Engines keep two idle connections for each plugin. */
const IDLE_CONNECTIONS = 2;
/** An engine reads replies of any size; a client that must live on does not. */
const REPLY_LIMIT = 64 << 20;

export interface Reply {
  readonly status: number;
  readonly text: string;
}

export class Exchange {
  readonly #open: (path: string, length: number) => ClientRequest;
  readonly #agent: Agent;

  constructor(address: PluginAddress, userAgent: string) {
    const url = new URL(address.url);
    const headers = { accept: ACCEPT, 'user-agent': userAgent };
    const pool = { keepAlive: true, maxFreeSockets: IDLE_CONNECTIONS };
    if (url.protocol === 'https:') {
      const agent = new HttpsAgent({ ...pool, ...tlsOptions(address) });
      this.#agent = agent;
      const place = { agent, host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || 443 };
      this.#open = (path, length) => httpsRequest({ ...place, path, ...post(headers, length) });
      return;
    }
    const agent = new Agent(pool);
    this.#agent = agent;
    const place = placeOf(address.url, url);
    this.#open = (path, length) => httpRequest({ ...place, agent, path, ...post(headers, length) });
  }

  /** Throws whatever the connection throws; resolves when the headers have come. The caller reads or destroys the message. */
  async open(path: string, body: string, signal?: AbortSignal): Promise<IncomingMessage> {
    const bytes = Buffer.from(body);
    for (;;) {
      const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
      const sent = this.#open(path, bytes.length);
      const abort = () => sent.destroy(signal?.reason as Error);
      sent.once('response', resolve).on('error', reject);
      signal?.addEventListener('abort', abort, { once: true });
      if (signal?.aborted) abort();
      sent.end(bytes);
      try {
        const message = await promise;
        message.once('close', () => signal?.removeEventListener('abort', abort));
        return message;
      } catch (error) {
        signal?.removeEventListener('abort', abort);
        // The plugin closed an idle connection just when it was used again: nothing was received, so ask on a new one.
        const stale = sent.reusedSocket && (error as NodeJS.ErrnoException).code === 'ECONNRESET';
        if (!stale || signal?.aborted) throw error;
      }
    }
  }

  async call(path: string, body: string, signal?: AbortSignal): Promise<Reply> {
    const message = await this.open(path, body, signal);
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of message as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > REPLY_LIMIT) {
        message.destroy();
        throw new PluginError('PROTO_UNREACHABLE', `${path.slice(1)}: the reply is longer than ${REPLY_LIMIT} bytes`);
      }
    }
    return { status: message.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') };
  }

  close(): void {
    this.#agent.destroy();
  }
}

function post(headers: Record<string, string>, length: number) {
  return { method: 'POST', headers: { ...headers, 'content-length': length } };
}

function placeOf(
  text: string,
  url: URL,
): { socketPath: string; host: string } | { host: string; port: string | number } {
  switch (url.protocol) {
    case 'unix:':
      // The path as it is written: URL would change its characters.
      return { socketPath: text.slice('unix://'.length), host: 'plugin.moby.localhost' };
    case 'tcp:':
    case 'http:':
      return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || 80 };
    default:
      throw new PluginError('PROTO_SPEC', `"${text}" is no address of a plugin`, {
        hint: 'use unix://, tcp://, http:// or https://',
      });
  }
}

function tlsOptions({ tls }: PluginAddress) {
  if (tls === undefined) return {};
  return {
    rejectUnauthorized: !tls.insecureSkipVerify,
    ...(tls.caFile === undefined ? {} : { ca: readFileSync(tls.caFile) }),
    ...(tls.certFile === undefined ? {} : { cert: readFileSync(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: readFileSync(tls.keyFile) }),
  };
}
