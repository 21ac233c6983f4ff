/** One call of the Engine API over its unix socket. */
import { createReadStream } from 'node:fs';
import { request } from 'node:http';

export interface ApiReply {
  readonly status: number;
  /** Decoded JSON, or the text when it is none. */
  readonly body: unknown;
}

export interface FileBody {
  /** A file whose bytes are the body. */
  readonly file: string;
}

export function callApi(
  socketPath: string,
  method: string,
  path: string,
  body?: Readonly<Record<string, unknown>> | FileBody,
): Promise<ApiReply> {
  const { promise, resolve, reject } = Promise.withResolvers<ApiReply>();
  const file = body !== undefined && typeof body['file'] === 'string' ? body['file'] : undefined;
  const type = file === undefined ? 'application/json' : 'application/x-tar';
  const headers = body === undefined ? {} : { 'Content-Type': type };
  const call = request({ socketPath, method, path, headers, timeout: 60_000 }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () =>
      resolve({ status: response.statusCode ?? 0, body: decode(Buffer.concat(chunks).toString()) }),
    );
    response.on('error', reject);
  });
  call.on('timeout', () => call.destroy(new Error(`${method} ${path} got no answer within 60 s`)));
  call.on('error', reject);
  if (file !== undefined) createReadStream(file).on('error', reject).pipe(call);
  else call.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

function decode(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
