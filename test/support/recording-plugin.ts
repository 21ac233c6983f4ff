/**
 * Plugins of nobody's making, in the test's own process: each call is written down, and answered as the recorded engine's plugin
 * answered the same call. What cannot be replayed as it is, is real: links that a driver hands over, folders that it mounts,
 * log sessions that are read to their end.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import type { RecordedCall } from '../contract/recorded.ts';
import type { Host } from './host.ts';

export interface HeardCall {
  readonly plugin: string;
  /** `Subsystem.Method`. */
  readonly method: string;
  /** undefined: the request had no body. */
  readonly request: unknown;
}

export interface RecordingPlugins {
  /** Calls since the last `take`. */
  take(): HeardCall[];
  /** How many calls are being answered now, and when the last one came; for waiting until there is quiet. */
  readonly quietMs: number;
  /** What the next calls are answered with, each in its turn; later ones get the last answer again. */
  expect(calls: readonly RecordedCall[]): void;
  /** Serves one more plugin: at a socket of the host, or at an address of its network. */
  listen(plugin: string, where: { readonly socket: string }): Promise<void>;
  /** No longer there for anybody: the socket goes, connections are closed. */
  hide(plugin: string): Promise<void>;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number | 'dropped';
  readonly body: string;
}

export function createRecordingPlugins(host: Host): RecordingPlugins {
  const servers = new Map<string, { server: Server; socket: string }>();
  const last = new Map<string, Answer>();
  let queue: RecordedCall[] = [];
  let heard: HeardCall[] = [];
  let running = 0;
  let lastAt = 0;
  /** Address of each endpoint, ours and recorded ones. */
  const addresses = new Map<unknown, unknown>();

  /** What a call is about, for calls that an engine makes about several things at once. */
  const nameOf = (request: unknown): string => {
    const fields = (request ?? {}) as Readonly<Record<string, unknown>>;
    const made = fields['Interface'] as { readonly Address?: string } | undefined;
    if (made?.Address) addresses.set(fields['EndpointID'], made.Address);
    return String(fields['Name'] ?? fields['Pool'] ?? addresses.get(fields['EndpointID']) ?? '');
  };
  const answerTo = (plugin: string, method: string, request: unknown): Answer => {
    const name = nameOf(request);
    const matches = (call: RecordedCall) => call.plugin === plugin && call.method === method;
    // Calls about several things at once come in any order: the answer goes by the thing.
    const at = [
      queue.findIndex((call) => matches(call) && nameOf(call.request) === name),
      queue.findIndex(matches),
    ].find((index) => index >= 0);
    const key = `${plugin} ${method} ${name}`;
    if (at === undefined) return last.get(key) ?? last.get(`${plugin} ${method} `) ?? { status: 200, body: '{}' };
    const [call] = queue.splice(at, 1) as [RecordedCall];
    const answer = { status: call.status, body: call.reply };
    last.set(key, answer);
    last.set(`${plugin} ${method} `, answer);
    return answer;
  };

  const handle = async (plugin: string, message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const method = (message.url ?? '').slice(1);
    const chunks: Buffer[] = [];
    for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const request: unknown = text.trim() === '' ? undefined : JSON.parse(text);
    heard.push({ plugin, method, request });
    const { status, body } = answerTo(plugin, method, request);
    if (status === 'dropped') {
      message.socket.destroy();
      return;
    }
    const real = await makeReal(host, method, request, body);
    response.writeHead(status).end(real);
  };

  return {
    take() {
      const taken = heard;
      heard = [];
      return taken;
    },
    get quietMs() {
      return running > 0 ? 0 : Date.now() - lastAt;
    },
    expect(calls) {
      queue = [...calls];
      for (const { request } of calls) nameOf(request);
    },
    async listen(plugin, { socket }) {
      const path = host.path(socket);
      mkdirSync(dirname(path), { recursive: true });
      rmSync(path, { force: true });
      const server = createServer((message, response) => {
        running += 1;
        lastAt = Date.now();
        handle(plugin, message, response)
          .catch((error: unknown) => response.writeHead(200).end(JSON.stringify({ Err: String(error) })))
          .finally(() => {
            running -= 1;
            lastAt = Date.now();
          });
      }).listen(path);
      await once(server, 'listening');
      servers.set(plugin, { server, socket: path });
    },
    async hide(plugin) {
      const found = servers.get(plugin);
      servers.delete(plugin);
      found?.server.close();
      found?.server.closeAllConnections();
      if (found !== undefined) rmSync(found.socket, { force: true });
    },
    async close() {
      for (const { server } of servers.values()) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}

/** The recorded reply with what must be there in earnest. */
async function makeReal(host: Host, method: string, request: unknown, body: string): Promise<string> {
  const fields = (request ?? {}) as Readonly<Record<string, unknown>>;
  const endpoint = String(fields['EndpointID'] ?? '').slice(0, 8);
  if (method === 'NetworkDriver.Join' && body.includes('"SrcName":"pv')) {
    const [near, far] = [`pv${endpoint}`, `ph${endpoint}`];
    await host.sh(`ip link add ${far} type veth peer name ${near}; ip link set ${far} up`);
    return body.replace(/"SrcName":"pv[0-9a-f]*"/, `"SrcName":"${near}"`);
  }
  if (method === 'NetworkDriver.DeleteEndpoint') await host.sh(`ip link del ph${endpoint} 2>/dev/null || true`);
  if (method === 'VolumeDriver.Mount') {
    const folder = volumeFolder(host, String(fields['Name']));
    mkdirSync(folder, { recursive: true });
    return JSON.stringify({ Mountpoint: folder });
  }
  // Read as a log driver does, so that nobody waits for the pipe.
  if (method === 'LogDriver.StartLogging') drain(host, String(fields['File']));
  // Streams were not recorded as they were.
  if (method === 'LogDriver.ReadLogs') return '';
  return body;
}

export function volumeFolder(host: Host, name: string): string {
  return join(host.dir, 'volumes', name);
}

function drain(host: Host, file: string): void {
  const reader = spawn('cat', [host.path(file)], { stdio: 'ignore' });
  reader.unref();
}
