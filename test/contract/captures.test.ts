/** Every recorded exchange of real engines goes through the decoders and encoders of both sides and keeps its meaning. */

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginClient } from '../../plugins/sdk/client.ts';
import { PluginError } from '../../plugins/sdk/errors.ts';
import type { Plugin } from '../../plugins/sdk/plugin.ts';
import { ipamMethods } from '../../plugins/sdk/protocol/ipam.ts';
import { decodeReadLogs, encodeReadLogs, logMethods, READ_LOGS } from '../../plugins/sdk/protocol/log.ts';
import { LogFrameDecoder } from '../../plugins/sdk/protocol/log-frame-decoder.ts';
import { encodeLogFrame } from '../../plugins/sdk/protocol/log-frame-encoder.ts';
import { networkMethods } from '../../plugins/sdk/protocol/network.ts';
import { volumeMethods } from '../../plugins/sdk/protocol/volume.ts';
import { WireReader } from '../../plugins/sdk/protocol/wire.ts';
import { servePlugin } from '../../plugins/sdk/serve.ts';
import { meaning, type RecordedCall, recordedCalls, recordedEntries } from './recorded.ts';

const calls = recordedCalls();

/** A method without its types: the recordings bring values of any method. */
interface AnyMethod {
  readonly name: string;
  readonly decodeRequest?: unknown;
  readRequest(body: unknown): unknown;
  encodeRequest(request: unknown): unknown;
  encodeReply(reply: unknown, request: unknown): unknown;
  decodeReply(body: WireReader, request: unknown): unknown;
}

const tables = { network: networkMethods, ipam: ipamMethods, volume: volumeMethods, log: logMethods };
type Kind = keyof typeof tables;
const methods = new Map(
  Object.entries(tables).flatMap(([kind, table]) =>
    Object.entries(table).map(([key, method]): [string, { kind: Kind; key: string; method: AnyMethod }] => {
      return [method.name, { kind: kind as Kind, key, method: method as AnyMethod }];
    }),
  ),
);

const where = (call: RecordedCall) => `${call.file}:${call.line} ${call.method}`;

test('every recorded method is known, and every method is recorded', () => {
  const seen = new Set(calls.map((call) => call.method));
  const known = new Set([...methods.keys(), 'Plugin.Activate', READ_LOGS]);
  assert.equal(
    [...seen].filter((name) => !known.has(name)),
    [],
  );
  const unseen = ['NetworkDriver.DiscoverDelete', 'VolumeDriver.Path'];
  assert.equal([...known].filter((name) => !seen.has(name)).sort(), unseen);
});

test('requests decode, and encode to the same meaning', () => {
  let compared = 0;
  for (const call of calls) {
    if (call.method === 'Plugin.Activate') continue;
    const isReadLogs = call.method === READ_LOGS;
    const method = methods.get(call.method)?.method;
    if (isReadLogs) {
      const decoded = decodeReadLogs(new WireReader(READ_LOGS, call.request));
      assert.equal(meaning(encodeReadLogs(decoded)), meaning(call.request), where(call));
      compared += 1;
      continue;
    }
    if (method === undefined) throw new Error(where(call));
    if (method.decodeRequest !== undefined && call.request === undefined) {
      // The repeat after a dropped connection.
      assert.throws(
        () => method.readRequest(call.request),
        (error: unknown) => codeOf(error) === 'PROTO_BODY',
        where(call),
      );
      continue;
    }
    const decoded = method.readRequest(call.request);
    const encoded = method.encodeRequest(decoded);
    assert.equal(meaning(encoded), meaning(call.request), where(call));
    if (method.decodeRequest !== undefined) {
      const again = method.readRequest(JSON.parse(JSON.stringify(encoded)));
      assert.equal(again, decoded, where(call));
      compared += 1;
    }
  }
  assert.ok(compared > 1500, `${compared} requests compared`);
});

test('replies decode, and encode to the same meaning', () => {
  let compared = 0;
  const refused = new Set<string>();
  for (const call of calls) {
    const method = methods.get(call.method)?.method;
    if (method === undefined || call.status !== 200 || isOdd(call)) continue;
    if (method.decodeRequest !== undefined && call.request === undefined) continue;
    const recorded = JSON.parse(call.reply) as Record<string, unknown>;
    if (/^\{"(?:err|error)":"[^"]/i.test(call.reply)) continue;
    const request = method.readRequest(call.request);
    const expected = meaning(withDefaults(call.method, recorded));
    try {
      const reply = method.decodeReply(new WireReader(call.method, recorded), request);
      assert.equal(meaning(method.encodeReply(reply, request)), expected, where(call));
      compared += 1;
    } catch (error) {
      if (!(error instanceof PluginError)) throw error;
      refused.add(error.message);
    }
  }
  assert.equal([...refused].sort(), refusedReplies);
  assert.ok(compared > 1500, `${compared} replies compared`);
});

test('the client reads every recorded reply as the engine does', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cleat-captures-'));
  let answer: { status: number; body: string } = { status: 200, body: '{}' };
  const listener: RequestListener = (request, response) => {
    request.resume().once('end', () => response.writeHead(answer.status).end(answer.body));
  };
  const server = createServer(listener).listen(join(folder, 'p.sock'));
  await once(server, 'listening');
  const client = new PluginClient({ url: `unix://${join(folder, 'p.sock')}` });
  const failures = new Set<string>();
  for (const call of calls) {
    const found = methods.get(call.method);
    if (found === undefined || call.status === 'dropped') continue;
    const { kind, key, method } = found;
    if (method.decodeRequest !== undefined && call.request === undefined) continue;
    answer = { status: call.status, body: call.reply };
    const request = method.readRequest(call.request);
    const send = (client[kind] as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>)[key]!;
    try {
      await (method.decodeRequest === undefined ? send() : send(request));
      if (call.status === 200 && !isOdd(call)) assert.not.match(call.reply, /^\{"(Err|Error)":"[^"]/, where(call));
    } catch (error) {
      if (!(error instanceof PluginError)) throw error;
      failures.add(`${call.method} ${call.status}: ${error.message}`);
    }
  }
  client.close();
  server.close();
  rmSync(folder, { recursive: true });
  const odd = [...failures].filter((text) => oddFailures.some((known) => text === known));
  assert.equal(odd.sort(), [...oddFailures].sort(), [...failures].join('\n'));
});

/** What the recording plugin answered wrongly on purpose: neither side of the SDK lets it pass. */
const refusedReplies = [
  'NetworkDriver.CreateEndpoint: the driver changed Address from "10.73.0.1/24" to "10.73.0.200/24"',
  'NetworkDriver.CreateEndpoint: the driver changed Address from "10.73.0.2/24" to "10.73.0.200/24"',
  'NetworkDriver.Join: StaticRoutes[2].NextHop must be a non-empty string, not ""',
];

/** How the engine takes the replies that were wrong on purpose. */
const oddFailures = [
  'NetworkDriver.CreateNetwork 200: remote: boom A',
  'NetworkDriver.CreateNetwork 500: NetworkDriver.CreateNetwork: boom B',
  'NetworkDriver.CreateNetwork 500: NetworkDriver.CreateNetwork: plain failure',
  'NetworkDriver.CreateNetwork 404: NetworkDriver.CreateNetwork: nf',
  'NetworkDriver.CreateNetwork 201: NetworkDriver.CreateNetwork: {}',
  'NetworkDriver.CreateNetwork 200: remote: lower',
  'NetworkDriver.EndpointOperInfo 404: NetworkDriver.EndpointOperInfo: x',
  'IpamDriver.RequestAddress 200: remote: only Error',
  'IpamDriver.RequestAddress 500: IpamDriver.RequestAddress: {"Error":"500 with Error"}',
];

/** Replies that were recorded as text because they are wrong in some way. */
function isOdd(call: RecordedCall): boolean {
  return !/^[[{]/.test(call.reply) || call.reply.includes('yesterday') || oddReplies.has(call.reply);
}

const oddReplies = new Set([
  '{"Address":"10.72.0.5"}',
  '{"PoolID":"p"}',
  '{"Mountpoint":""}',
  '{"Err":"only Err"}',
  '{"Foo":1,"err":""}',
]);

function withDefaults(method: string, reply: Record<string, unknown>): unknown {
  if (method === 'NetworkDriver.Join') {
    const routes = (reply['StaticRoutes'] ?? []) as Record<string, unknown>[];
    return { ...reply, StaticRoutes: routes.map((route) => ({ RouteType: 0, ...route })) };
  }
  return reply;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof PluginError ? error.code : undefined;
}

test('the server takes every recorded request as the engines sent it', async () => {
  const received: unknown[] = [];
  const answering = (kind: Kind): unknown => {
    const handlers = Object.entries(tables[kind]).map(([key]) => [
      key,
      async (request: unknown) => {
        received.push(request);
        return canned[`${kind}.${key}`];
      },
    ]);
    return { ...Object.fromEntries(handlers), capabilities: { scope: 'local', readLogs: false } };
  };
  const plugin = Object.fromEntries(
    (Object.keys(tables) as Kind[]).map((kind) => [kind, answering(kind)]),
  ) as unknown as Plugin;
  const app = servePlugin({ ...plugin, name: 'replay' });
  for (const call of calls) {
    if (call.method === READ_LOGS) continue;
    const known = methods.get(call.method);
    const before = received.length;
    const body = call.request === undefined ? '' : `${JSON.stringify(call.request)}\n`;
    const reply = await app.inject({
      method: 'POST',
      url: `/${call.method}`,
      headers: { host: '', 'user-agent': 'Go-http-client/1.1', ...call.headers, 'content-length': String(body.length) },
      payload: Buffer.from(body),
    });
    assert.is(reply.statusCode, 200, where(call));
    if (known?.method.decodeRequest === undefined) continue;
    if (call.request === undefined) assert.match(reply.body, /PROTO_BODY/, where(call));
    else assert.is(received.length, before + 1, `${where(call)}: ${reply.body}`);
  }
  await app.close();
});

const canned: Readonly<Record<string, unknown>> = {
  'network.gwAllocCheck': { skipIPv4: false, skipIPv6: false },
  'network.createEndpoint': {},
  'network.endpointOperInfo': {},
  'network.join': { interfaceName: { srcName: 'v0', dstPrefix: 'eth' } },
  'network.allocateNetwork': {},
  'ipam.getDefaultAddressSpaces': { local: 'l', global: 'g' },
  'ipam.requestPool': { poolId: 'p', pool: '192.0.2.0/24' },
  'ipam.requestAddress': { address: '192.0.2.1/24' },
  'volume.list': [],
  'volume.mount': '/mnt',
};

test('recorded FIFO frames decode to what was recorded, and encode to the same bytes', () => {
  const entries = recordedEntries();
  for (const { file, rawHex, entry } of entries) {
    const seen: string[] = [];
    const decoder = new LogFrameDecoder((frame) => {
      const decoded = frame.toLogEntry();
      assert.is(decoded.source, entry['source'], file);
      assert.is(String(decoded.timeNano), entry['time_nano'], file);
      if (typeof entry['line'] === 'string') assert.is(Buffer.from(decoded.line).toString(), entry['line'], file);
      seen.push(encodeLogFrame(decoded).toString('hex'));
    });
    decoder.push(Buffer.from(rawHex, 'hex'));
    assert.equal(seen, [rawHex], file);
    assert.is(decoder.damages, 0);
  }
  assert.ok(entries.length > 100);
});

test.run();
