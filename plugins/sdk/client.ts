/**
 * Calls a plugin as an engine does: the same order of bytes, retry rule, time limits and error texts. Works with any plugin,
 * whoever wrote it and in whatever language.
 */

import type { ErrorCode } from './error-codes.ts';
import { isErrorCode, PluginError } from './errors.ts';
import { Exchange, type Reply } from './exchange.ts';
import { ACTIVATE, type DriverKind, decodeActivateReply } from './protocol/activate.ts';
import { ipamMethods } from './protocol/ipam.ts';
import { encodeReadLogs, logMethods, READ_LOGS, type ReadLogsRequest } from './protocol/log.ts';
import type { Method } from './protocol/method.ts';
import { networkMethods } from './protocol/network.ts';
import { volumeMethods } from './protocol/volume.ts';
import { isWireObject, type WireObject, WireReader } from './protocol/wire.ts';
import { engineRetryRule, type RetryRule, withRetry } from './retry.ts';
import type { PluginAddress } from './spec-file.ts';

export interface PluginClientOptions {
  readonly retry?: RetryRule;
  /** Milliseconds for one attempt of a method, undefined for no limit; default: the engine's limits for legacy plugins. */
  readonly timeLimitMs?: (method: string) => number | undefined;
  readonly userAgent?: string;
}

/** The functions of a method table: with a request where the method has one, and an optional signal. */
export type Calls<Table> = {
  readonly [K in keyof Table]: Table[K] extends Method<infer _Driver, infer Request, infer Reply>
    ? [Request] extends [undefined]
      ? (signal?: AbortSignal) => Promise<Reply>
      : (request: Request, signal?: AbortSignal) => Promise<Reply>
    : never;
};

export type NetworkClient = Calls<typeof networkMethods>;
export type IpamClient = Calls<typeof ipamMethods>;
export type VolumeClient = Calls<typeof volumeMethods>;
export interface LogClient extends Calls<typeof logMethods> {
  /** Chunks of frames as they come; never retried. Leaving the loop, or the signal, closes the connection. */
  readLogs(request: ReadLogsRequest, signal?: AbortSignal): AsyncIterable<Buffer>;
}

/** The plugin answered, and what it answered is an error. */
export class RemoteError extends PluginError {
  override readonly name: string = 'RemoteError';
  readonly method: string;
  /** HTTP status; 200 for errors in a field of the reply. */
  readonly status: number;
  /** The plugin's own words. */
  readonly remoteText: string;
  /** The code at the end of the text, when it is one of this SDK's. */
  readonly remoteCode: ErrorCode | undefined;

  constructor(method: string, status: number, remoteText: string) {
    super('PROTO_REMOTE', engineText(method, status, remoteText));
    this.method = method;
    this.status = status;
    this.remoteText = remoteText;
    const code = / \[([A-Z_]+)\]\s*$/.exec(remoteText)?.[1];
    this.remoteCode = code !== undefined && isErrorCode(code) ? code : undefined;
  }

  /** The text alone: it carries the plugin's code where there is one. */
  override get line(): string {
    return this.message.replaceAll(/\s*\n\s*/g, ' ');
  }
}

/** As the engine's own error reads. */
function engineText(method: string, status: number, text: string): string {
  if (status !== 200) return `${method}: ${text}`;
  return /^(?:Network|Ipam)Driver\./.test(method) ? `remote: ${text}` : text;
}

/** Engines limit volume calls only. */
export function engineTimeLimitMs(method: string): number | undefined {
  if (!method.startsWith('VolumeDriver.')) return undefined;
  return method === 'VolumeDriver.Create' || method === 'VolumeDriver.Mount' ? 120_000 : 60_000;
}

export class PluginClient {
  readonly network: NetworkClient;
  readonly ipam: IpamClient;
  readonly volume: VolumeClient;
  readonly log: LogClient;
  readonly #exchange: Exchange;
  readonly #retry: RetryRule;
  readonly #timeLimitMs: (method: string) => number | undefined;

  /** Nothing is sent before the first call. */
  constructor(address: PluginAddress, options: PluginClientOptions = {}) {
    this.#exchange = new Exchange(address, options.userAgent ?? 'cleat');
    this.#retry = options.retry ?? engineRetryRule;
    this.#timeLimitMs = options.timeLimitMs ?? engineTimeLimitMs;
    this.network = this.#calls(networkMethods);
    this.ipam = this.#calls(ipamMethods);
    this.volume = this.#calls(volumeMethods);
    const readLogs = (request: ReadLogsRequest, signal?: AbortSignal) => this.#readLogs(request, signal);
    this.log = { ...this.#calls(logMethods), readLogs };
  }

  /** The kinds of driver behind this name. */
  async activate(signal?: AbortSignal): Promise<readonly DriverKind[]> {
    return decodeActivateReply(await this.#exchangeJson(ACTIVATE, undefined, signal));
  }

  /** Drops the connections; calls that are running fail. */
  close(): void {
    this.#exchange.close();
  }

  // The cast states what the loop builds: each entry has the arguments and the reply of its method.
  #calls<Table extends Readonly<Record<string, object>>>(table: Table): Calls<Table> {
    const calls = Object.entries(table).map(([key, entry]) => {
      const method = entry as Method<unknown, unknown, unknown>;
      const withoutRequest = method.decodeRequest === undefined;
      const call = (...args: unknown[]) =>
        withoutRequest
          ? this.#call(method, undefined, args[0] as AbortSignal | undefined)
          : this.#call(method, args[0], args[1] as AbortSignal | undefined);
      return [key, call];
    });
    return Object.fromEntries(calls) as Calls<Table>;
  }

  async #call(method: Method<unknown, unknown, unknown>, request: unknown, signal?: AbortSignal): Promise<unknown> {
    try {
      const body = await this.#exchangeJson(method.name, method.encodeRequest(request), signal);
      return method.decodeReply(body, request);
    } catch (error) {
      const { fallback } = method;
      if (fallback !== undefined && error instanceof RemoteError && (fallback.on === 'error' || error.status === 404)) {
        return fallback.reply;
      }
      throw error;
    }
  }

  /** With retries. Throws RemoteError for an error in the reply, PROTO_UNREACHABLE when there was none. */
  async #exchangeJson(method: string, body: WireObject | undefined, signal?: AbortSignal): Promise<WireReader> {
    // Go's encoder ends every value with a newline.
    const text = body === undefined ? '' : `${JSON.stringify(body)}\n`;
    const attempt = async () => {
      const limitMs = this.#timeLimitMs(method);
      const signals = [signal, limitMs === undefined ? undefined : AbortSignal.timeout(limitMs)];
      const limits = signals.filter((one) => one !== undefined);
      return await this.#exchange.call(`/${method}`, text, limits.length > 0 ? AbortSignal.any(limits) : undefined);
    };
    return readReply(method, await this.#reach(method, attempt, this.#retry, signal));
  }

  async #reach<T>(method: string, attempt: () => Promise<T>, retry: RetryRule, signal?: AbortSignal): Promise<T> {
    try {
      return await withRetry(retry, attempt, () => true, signal);
    } catch (error) {
      if (signal?.aborted || error instanceof PluginError) throw error;
      throw new PluginError('PROTO_UNREACHABLE', `${method}: ${(error as Error).message || String(error)}`, {
        cause: error,
      });
    }
  }

  async *#readLogs(request: ReadLogsRequest, signal?: AbortSignal): AsyncGenerator<Buffer> {
    const text = `${JSON.stringify(encodeReadLogs(request))}\n`;
    const open = () => this.#exchange.open(`/${READ_LOGS}`, text, signal);
    const message = await this.#reach(READ_LOGS, open, this.#retry, signal);
    try {
      let error: Buffer[] | undefined = message.statusCode === 200 ? undefined : [];
      let first = true;
      for await (const chunk of message as AsyncIterable<Buffer>) {
        // As the length of a frame a brace would be 2 GB: this is an error in JSON.
        if (first && chunk[0] === 0x7b) error = [];
        first = false;
        if (error === undefined) yield chunk;
        else error.push(chunk);
      }
      if (error !== undefined) {
        readReply(READ_LOGS, { status: message.statusCode ?? 0, text: Buffer.concat(error).toString('utf8') });
      }
    } finally {
      message.destroy();
    }
  }
}

function readReply(method: string, reply: Reply): WireReader {
  if (reply.status !== 200) throw new RemoteError(method, reply.status, errorText(reply.text));
  let value: unknown;
  try {
    value = JSON.parse(reply.text);
  } catch (error) {
    const what = reply.text.trim() === '' ? 'EOF' : (error as Error).message;
    throw new RemoteError(method, 200, `${method}: the reply is no JSON: ${what}`);
  }
  const body = new WireReader(method, value ?? {});
  const text = body.raw(method.startsWith('IpamDriver.') ? 'Error' : 'Err');
  if (typeof text === 'string' && text !== '') throw new RemoteError(method, 200, text);
  return body;
}

/** `Err` of a JSON body, else the body as it is. */
function errorText(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (isWireObject(value) && typeof value['Err'] === 'string' && value['Err'] !== '') return value['Err'];
  } catch {
    // Plain text.
  }
  return text.trim();
}
