/** The plugin under test: well-formed calls by the typed client, and requests as crooked as they come by hand. */
import { request as httpRequest, type OutgoingHttpHeaders } from 'node:http';
import { PluginClient, RemoteError } from '../client.ts';
import { findPlugin } from '../discovery.ts';
import { PluginError } from '../errors.ts';
import type { DriverKind } from '../protocol/activate.ts';
import { isWireObject, type WireObject } from '../protocol/wire.ts';
import type { PluginAddress } from '../spec-file.ts';
import { type CheckResult, expect, Nonconformity } from './report.ts';

export interface SubjectOptions {
  /** Path of the plugin's unix socket, or its URL (`tcp://…`), or its name in the plugin directories. */
  readonly socket: string;
  /** No call may take longer; engines wait for ever for most, users do not. Default 30 000. */
  readonly timeLimitMs?: number;
  /** Called as each check ends. */
  readonly onResult?: (result: CheckResult) => void;
}

export interface RawReply {
  readonly status: number;
  readonly text: string;
  /** undefined when the body is no JSON object. */
  readonly body: WireObject | undefined;
}

export interface RawRequest {
  readonly method: string;
  readonly body?: string | Buffer;
  readonly headers?: OutgoingHttpHeaders;
}

const TIME_LIMIT_MS = 30_000;

export class Subject {
  readonly kind: DriverKind;
  readonly address: PluginAddress;
  readonly client: PluginClient;
  readonly timeLimitMs: number;

  constructor(kind: DriverKind, options: SubjectOptions) {
    this.kind = kind;
    this.address = addressOf(options.socket);
    this.timeLimitMs = options.timeLimitMs ?? TIME_LIMIT_MS;
    // Without retries: a connection that breaks is what the checks are after.
    const retry = { delaysMs: [], windowMs: 0 };
    this.client = new PluginClient(this.address, { retry, timeLimitMs: () => this.timeLimitMs });
  }

  /** One request, sent as it is given: no Content-Type and an empty Host unless headers say otherwise. */
  async send({ method, body = '', headers = {} }: RawRequest): Promise<RawReply> {
    const { promise, resolve, reject } = Promise.withResolvers<RawReply>();
    const bytes = Buffer.from(body);
    const place = this.address.url.startsWith('unix://')
      ? { socketPath: this.address.url.slice('unix://'.length) }
      : { host: new URL(this.address.url).hostname, port: new URL(this.address.url).port };
    const request = httpRequest({
      ...place,
      path: `/${method}`,
      method: 'POST',
      agent: false,
      timeout: this.timeLimitMs,
      headers: { host: '', 'user-agent': 'Go-http-client/1.1', 'content-length': bytes.length, ...headers },
    });
    request.once('timeout', () => request.destroy(new Error(`no answer within ${this.timeLimitMs} ms`)));
    request.once('error', reject);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject).once('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, text, body: parseObject(text) });
      });
    });
    request.end(bytes);
    try {
      return await promise;
    } catch (error) {
      throw new PluginError('PROTO_UNREACHABLE', `${method}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** The error that an engine would see in the reply, undefined for success. */
  errorIn(reply: RawReply): string | undefined {
    if (reply.status !== 200) return textField(reply.body, 'Err') ?? reply.text;
    return textField(reply.body, this.errorField);
  }

  get errorField(): 'Err' | 'Error' {
    return this.kind === 'ipam' ? 'Error' : 'Err';
  }

  /** Sends the request and demands an error in the form that an engine sees. */
  async expectRefusal(request: RawRequest, why: string): Promise<void> {
    const reply = await this.send(request);
    const what = `${request.method} with ${shorten(request.body)}`;
    if (reply.status === 200) {
      expect(reply.body !== undefined, `${what} was answered with ${shorten(reply.text)}, which is no JSON object`);
      const error = this.errorIn(reply);
      if (error === undefined && this.kind === 'ipam' && textField(reply.body, 'Err') !== undefined) {
        throw new Nonconformity(`${what} was refused in "Err" only; engines read IPAM errors in "Error"`);
      }
      expect(error !== undefined, `${what} was answered with success (${shorten(reply.text)}); ${why}`);
    } else {
      expect(
        this.errorIn(reply) !== '',
        `${what} was answered with status ${reply.status} and no text: users would see no reason`,
      );
    }
  }

  /** Runs a call that must fail with an error reply; returns the plugin's words. */
  async expectError(call: () => Promise<unknown>, what: string): Promise<string> {
    let reply: unknown;
    try {
      reply = await call();
    } catch (error) {
      if (error instanceof RemoteError) return error.remoteText;
      throw error;
    }
    throw new Nonconformity(`${what} must be an error, but was answered with ${shorten(JSON.stringify(reply))}`);
  }

  close(): void {
    this.client.close();
  }
}

function addressOf(socket: string): PluginAddress {
  if (socket.includes('://')) return { url: socket };
  if (socket.includes('/')) return { url: `unix://${socket}` };
  const found = findPlugin(socket);
  if (found === undefined) throw new PluginError('PROTO_PLUGIN_NOT_FOUND', `plugin "${socket}" not found`);
  return found;
}

function parseObject(text: string): WireObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return value === null ? {} : isWireObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Engines match field names whatever their case. */
function textField(body: WireObject | undefined, name: string): string | undefined {
  const key = Object.keys(body ?? {}).find((candidate) => candidate.toLowerCase() === name.toLowerCase());
  const value = key === undefined ? undefined : body?.[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function shorten(value: string | Buffer | undefined): string {
  const text = value?.toString() ?? '';
  if (text.trim() === '') return 'an empty body';
  return text.length > 120 ? `${text.slice(0, 100)}… (${text.length} characters)` : text.trim();
}
