/** Calls the control socket of a daemon of this host: JSON over HTTP on RUN_DIR/NAME.sock. */
import { request } from 'node:http';
import { join } from 'node:path';
import { CommandFailure, exitCodes } from './exit.ts';

export type DaemonName = 'networkd' | 'volumed' | 'logd' | 'shim';

export interface ControlReply {
  readonly status: number;
  readonly body: unknown;
}

const timeoutMs = 60_000;

/** The parsed JSON of a 2xx reply; a CommandFailure with the daemon's own words otherwise. */
export async function callControl<T>(
  runDir: string,
  daemon: DaemonName,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<T> {
  const reply = await exchange(join(runDir, `${daemon}.sock`), method, path, body).catch((error: unknown) => {
    throw notReachable(runDir, daemon, error);
  });
  if (reply.status >= 200 && reply.status < 300) return reply.body as T;
  throw refusal(reply);
}

/** What a daemon says with any other status. */
export function refusal(reply: ControlReply): CommandFailure {
  return new CommandFailure(replyMessage(reply), isWrongUse(reply.body) ? exitCodes.usage : exitCodes.failed);
}

/** Which daemons of this host answer; the others are left out. */
export async function runningDaemons(runDir: string): Promise<DaemonName[]> {
  const names: DaemonName[] = ['networkd', 'volumed', 'logd', 'shim'];
  const answers = await Promise.all(
    names.map((name) => exchange(join(runDir, `${name}.sock`), 'GET', '/version', undefined).catch(() => undefined)),
  );
  return names.filter((_, index) => answers[index] !== undefined);
}

function exchange(socketPath: string, method: string, path: string, body: unknown): Promise<ControlReply> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const call = request({ socketPath, method, path, headers, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body: parseBody(Buffer.concat(chunks).toString()) });
      });
    });
    call.on('timeout', () => call.destroy(new Error(`no answer in ${timeoutMs / 1000} s`)));
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** JSON, or the text itself. */
export function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** An option or a body that cannot be; everything else that a daemon refuses has failed. */
function isWrongUse(body: unknown): boolean {
  const code = typeof body === 'object' && body !== null && 'code' in body ? String(body.code) : '';
  return code.startsWith('PROTO_OPTION') || code === 'PROTO_BODY';
}

function replyMessage(reply: ControlReply): string {
  const { body } = reply;
  if (typeof body === 'object' && body !== null && 'message' in body) return String(body.message);
  return typeof body === 'string' && body !== '' ? body : `the daemon answered status ${reply.status}`;
}

function notReachable(runDir: string, daemon: DaemonName, error: unknown): CommandFailure {
  const reason = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
  const command = `cleat-${daemon}${runDir === '/run/cleat' ? '' : ` --run-dir ${runDir}`}`;
  return new CommandFailure(
    `cleat-${daemon} does not answer on ${join(runDir, `${daemon}.sock`)} (${reason}); start it with: ${command}`,
    exitCodes.unavailable,
  );
}
