import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { engineTimeLimitMs, PluginClient, RemoteError } from './client.ts';
import { discoverPlugin, findPlugin, listPlugins } from './discovery.ts';
import { PluginError } from './errors.ts';
import { listenPlugin } from './listen.ts';
import type { LogDriver, LogInfo } from './log-plugin.ts';
import { LogFrameDecoder } from './protocol/log-frame-decoder.ts';
import { encodeLogFrame } from './protocol/log-frame-encoder.ts';

const info: LogInfo = {
  config: {},
  containerId: 'c'.repeat(64),
  containerName: '/c',
  containerEntrypoint: 'sh',
  containerArgs: [],
  containerImageId: '',
  containerImageName: '',
  containerCreated: '',
  containerEnv: [],
  containerLabels: {},
  logPath: '',
  daemonName: 'docker',
};
const fast = { delaysMs: [1, 1, 1, 1], windowMs: 60_000 };

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cleat-client-'));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function withServer(listener: RequestListener, body: (client: PluginClient) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    const path = join(folder, 'p.sock');
    const server = createHttpServer(listener).listen(path);
    await once(server, 'listening');
    const client = new PluginClient({ url: `unix://${path}` }, { retry: fast });
    try {
      await body(client);
    } finally {
      client.close();
      server.close();
      server.closeAllConnections();
    }
  });
}

const answering =
  (status: number, text: string): RequestListener =>
  (request, response) =>
    void request.resume().once('end', () => response.writeHead(status).end(text));

async function errorOf(promise: Promise<unknown>): Promise<PluginError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof PluginError) return error;
    throw error;
  }
  return assert.unreachable('no error') as never;
}

test('requests look as an engine sends them', async () => {
  const seen: Record<string, unknown>[] = [];
  const listener: RequestListener = (request, response) => {
    let body = '';
    request
      .on('data', (chunk) => (body += chunk))
      .once('end', () => {
        seen.push({
          method: request.method,
          url: request.url,
          headers: request.rawHeaders.join('|').toLowerCase(),
          body,
        });
        response.end('{}');
      });
  };
  await withServer(listener, async (client) => {
    await client.volume.list();
    await client.log.capabilities();
    assert.equal([seen[0]?.['method'], seen[0]?.['url'], seen[0]?.['body']], ['POST', '/VolumeDriver.List', '{}\n']);
    assert.is(seen[1]?.['body'], '');
    const headers = String(seen[0]?.['headers']);
    assert.match(headers, /accept\|application\/vnd\.docker\.plugins\.v1\.2\+json/);
    assert.match(headers, /host\|plugin\.moby\.localhost/);
    assert.match(headers, /content-length\|3/);
    assert.not.match(headers, /content-type/);
  });
});

test('error replies carry the text as an engine shows it', async () => {
  const cases = [
    ['network', 200, '{"Err":"boom"}', 'remote: boom'],
    ['network', 200, '{"err":"lower"}', 'remote: lower'],
    ['network', 500, '{"Err":"boom"}', 'NetworkDriver.DeleteNetwork: boom'],
    ['network', 500, 'plain\n', 'NetworkDriver.DeleteNetwork: plain'],
    ['network', 201, '{}', 'NetworkDriver.DeleteNetwork: {}'],
    ['network', 200, '', 'remote: NetworkDriver.DeleteNetwork: the reply is no JSON: EOF'],
    ['ipam', 200, '{"Error":"full"}', 'remote: full'],
    ['volume', 200, '{"Err":"busy"}', 'busy'],
  ] as const;
  for (const [kind, status, text, expected] of cases) {
    await withServer(answering(status, text), async (client) => {
      const calls = {
        network: () => client.network.deleteNetwork({ networkId: 'n' }),
        ipam: () => client.ipam.releasePool({ poolId: 'p' }),
        volume: () => client.volume.remove({ name: 'v' }),
      };
      const error = await errorOf(calls[kind]());
      assert.instance(error, RemoteError);
      assert.is(error.message, expected);
    });
  }
});

test('the code of a plugin of this SDK is recognised in its text', async () => {
  await withServer(answering(200, '{"Err":"no volume is named \\"v\\" [VOL_NOT_FOUND]"}'), async (client) => {
    const error = (await errorOf(client.volume.get({ name: 'v' }))) as RemoteError;
    assert.is(error.remoteCode, 'VOL_NOT_FOUND');
    assert.is(error.line, 'no volume is named "v" [VOL_NOT_FOUND]');
  });
});

test('what engines take for an answer when a plugin has none', async () => {
  await withServer(answering(404, 'x'), async (client) => {
    const ids = { networkId: 'n', endpointId: 'e' };
    await client.network.revokeExternalConnectivity(ids);
    await client.network.programExternalConnectivity({
      ...ids,
      exposedPorts: [],
      portBindings: [],
      noProxy6To4: false,
    });
    assert.equal(await client.log.capabilities(), { readLogs: false });
    assert.equal(await client.volume.capabilities(), { scope: 'local' });
    assert.equal(await client.ipam.getCapabilities(), { requiresMacAddress: false, requiresRequestReplay: false });
    await errorOf(client.network.leave(ids));
  });
  await withServer(answering(200, 'null'), async (client) =>
    assert.is(await client.volume.get({ name: 'v' }), undefined),
  );
});

test('a broken exchange is repeated with its body, five times in all, a reply never', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'p.sock');
    const bodies: string[] = [];
    let answerAt = 3;
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket);
      let text = '';
      socket.on('data', (data) => {
        text += data.toString();
        if (!text.endsWith('}\n')) return;
        bodies.push(text.split('\r\n\r\n')[1] ?? '');
        if (bodies.length < answerAt) socket.destroy();
        else socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 12\r\n\r\n{"Err":"no"}');
      });
    }).listen(path);
    await once(server, 'listening');
    const client = new PluginClient({ url: `unix://${path}` }, { retry: fast });
    assert.is((await errorOf(client.volume.remove({ name: 'v' }))).message, 'no');
    assert.equal(bodies, ['{"Name":"v"}\n', '{"Name":"v"}\n', '{"Name":"v"}\n']);
    answerAt = 100;
    bodies.length = 0;
    const error = await errorOf(client.volume.remove({ name: 'v' }));
    assert.is(error.code, 'PROTO_UNREACHABLE');
    assert.is(bodies.length, 5);
    client.close();
    server.close();
    for (const socket of sockets) socket.destroy();
  }));

test('nobody there is PROTO_UNREACHABLE, and an abort ends the waiting', () =>
  inFolder(async (folder) => {
    const address = { url: `unix://${join(folder, 'none.sock')}` };
    assert.match(
      (await errorOf(new PluginClient(address, { retry: fast }).activate())).line,
      /ENOENT.*\[PROTO_UNREACHABLE\]/,
    );
    const abort = new AbortController();
    const waiting = new PluginClient(address, { retry: { delaysMs: [60_000], windowMs: 100_000 } }).activate(
      abort.signal,
    );
    abort.abort(new PluginError('PROTO_DEADLINE', 'enough'));
    assert.is((await errorOf(waiting)).message, 'enough');
  }));

test('a call has the time limit of its method', async () => {
  assert.equal(
    ['VolumeDriver.Mount', 'VolumeDriver.Create', 'VolumeDriver.Get', 'NetworkDriver.Join'].map(engineTimeLimitMs),
    [120_000, 120_000, 60_000, undefined],
  );
  const silent: RequestListener = (request) => void request.resume();
  await inFolder(async (folder) => {
    const server = createHttpServer(silent).listen(join(folder, 'p.sock'));
    await once(server, 'listening');
    const options = { retry: { delaysMs: [], windowMs: 0 }, timeLimitMs: () => 20 };
    const client = new PluginClient({ url: `unix://${join(folder, 'p.sock')}` }, options);
    assert.is((await errorOf(client.volume.list())).code, 'PROTO_UNREACHABLE');
    server.close();
    server.closeAllConnections();
  });
});

const frame = (text: string) =>
  encodeLogFrame({ source: 'stdout', timeNano: 1n, line: Buffer.from(text), partial: false });

function logDriver(readLogs: NonNullable<LogDriver['readLogs']>): LogDriver {
  const nothing = async () => undefined;
  return { capabilities: { readLogs: true }, startLogging: nothing, stopLogging: nothing, readLogs };
}

async function withLogs(readLogs: NonNullable<LogDriver['readLogs']>, body: (client: PluginClient) => Promise<void>) {
  await inFolder(async (folder) => {
    const listening = await listenPlugin({ name: 'l', log: logDriver(readLogs) }, { pluginDir: folder });
    const client = new PluginClient({ url: `unix://${listening.address}` }, { retry: fast });
    try {
      await body(client);
    } finally {
      client.close();
      await listening.close();
    }
  });
}

const reading = { info, config: { follow: false } };

test('ReadLogs streams what the driver yields', async () => {
  async function* lines() {
    for (let index = 0; index < 1000; index += 1) yield frame(`line ${index}\n`);
  }
  await withLogs(lines, async (client) => {
    let count = 0;
    const decoder = new LogFrameDecoder((one) => void assert.is(one.line.toString(), `line ${count++}\n`));
    for await (const chunk of client.log.readLogs(reading)) decoder.push(chunk);
    assert.equal([count, decoder.damages, decoder.pendingBytes], [1000, 0, 0]);
  });
});

test('an error before the first entry is an error reply, a later one breaks the stream', async () => {
  // biome-ignore lint/correctness/useYield: it fails before its first entry.
  async function* failing(): AsyncGenerator<Uint8Array> {
    throw new PluginError('PROTO_OPTION', 'no log here');
  }
  await withLogs(failing, async (client) => {
    const error = await errorOf(client.log.readLogs(reading)[Symbol.asyncIterator]().next());
    assert.is(error.message, 'LogDriver.ReadLogs: no log here [PROTO_OPTION]');
  });
  async function* breaking() {
    yield frame('one\n');
    throw new Error('disk gone');
  }
  await withLogs(breaking, async (client) => {
    let chunks = 0;
    const read = async () => {
      for await (const _chunk of client.log.readLogs(reading)) chunks += 1;
    };
    await read().then(
      () => assert.unreachable('the stream looked complete'),
      (error: Error) => assert.match(String(error), /aborted|ECONNRESET|hang up/),
    );
    assert.is(chunks, 1);
  });
});

test('a reader that leaves ends the source; a slow reader slows it', async () => {
  const ended = Promise.withResolvers<string>();
  async function* endless(_request: unknown, signal: AbortSignal) {
    try {
      for (let yielded = 0; ; yielded += 1) {
        if (yielded > 100_000) ended.resolve('never slowed');
        yield Buffer.alloc(64 << 10, 'x');
      }
    } finally {
      ended.resolve(signal.aborted ? 'told' : 'ended');
    }
  }
  await withLogs(endless, async (client) => {
    const chunks = client.log.readLogs({ info, config: { follow: true } })[Symbol.asyncIterator]();
    await chunks.next();
    await chunks.return?.(undefined);
    assert.is(await ended.promise, 'told');
  });
});

test('a quiet follow stream starts at once, and breaks with the server: it must not look complete', async () => {
  async function* quiet(_request: unknown, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    await once(signal, 'abort');
    yield Buffer.alloc(0);
  }
  await inFolder(async (folder) => {
    const listening = await listenPlugin({ name: 'l', log: logDriver(quiet) }, { pluginDir: folder });
    const client = new PluginClient({ url: `unix://${listening.address}` }, { retry: fast });
    const next = client.log
      .readLogs({ info, config: { follow: true } })
      [Symbol.asyncIterator]()
      .next();
    const broken = next.then(() => 'complete', String);
    await client.activate();
    await listening.close();
    assert.match(await broken, /aborted|ECONNRESET|hang up/);
    client.close();
  });
});

test('a call whose client leaves while it waits is never started', () =>
  inFolder(async (folder) => {
    const gate = Promise.withResolvers<void>();
    const started: string[] = [];
    const nothing = async () => undefined;
    const log: LogDriver = {
      ...logDriver(async function* () {}),
      async stopLogging({ file }) {
        started.push(file);
        if (started.length === 1) await gate.promise;
      },
      startLogging: nothing,
    };
    const listening = await listenPlugin({ name: 'l', log }, { pluginDir: folder });
    const client = new PluginClient({ url: `unix://${listening.address}` }, { retry: { delaysMs: [], windowMs: 0 } });
    try {
      const first = client.log.stopLogging({ file: '/a' });
      while (started.length === 0) await client.log.capabilities();
      const leaving = new AbortController();
      const second = client.log.stopLogging({ file: '/a' }, leaving.signal);
      const third = client.log.stopLogging({ file: '/b' });
      await third;
      leaving.abort(new PluginError('PROTO_DEADLINE', 'gone'));
      await errorOf(second);
      await client.log.capabilities();
      gate.resolve();
      await first;
      await client.log.stopLogging({ file: '/a' });
      assert.equal(started, ['/a', '/b', '/a']);
    } finally {
      gate.resolve();
      client.close();
      await listening.close();
    }
  }));

test('discovery goes in the order of the engine', () =>
  inFolder(async (folder) => {
    const directories = { socketDir: join(folder, 'run'), specDirs: [join(folder, 'etc'), join(folder, 'lib')] };
    const put = (path: string, text: string) => {
      mkdirSync(join(folder, path, '..'), { recursive: true });
      writeFileSync(join(folder, path), text);
    };
    const found = () => findPlugin('p', directories)?.url;
    const json = (address: string) => JSON.stringify({ Name: 'other', Addr: address });
    assert.is(found(), undefined);
    put('lib/p/p.json', json('https://lib-sub-json'));
    assert.is(found(), 'https://lib-sub-json');
    put('lib/p.spec', 'tcp://lib-spec:1\n');
    assert.is(found(), 'tcp://lib-spec:1');
    put('etc/p/p.json', json('tcp://etc-sub-json:1'));
    assert.is(found(), 'tcp://etc-sub-json:1');
    put('etc/p.json', json('tcp://etc-json:1'));
    assert.is(found(), 'tcp://etc-json:1');
    put('etc/p/p.spec', '  unix:///etc-sub-spec.sock \n');
    assert.is(found(), 'unix:///etc-sub-spec.sock');
    put('run/p.sock', 'no socket');
    assert.is(found(), 'unix:///etc-sub-spec.sock', 'a file is no socket');
    mkdirSync(join(folder, 'run', 'p'));
    const server = createServer().listen(join(folder, 'run', 'p', 'p.sock'));
    await once(server, 'listening');
    assert.is(found(), `unix://${join(folder, 'run', 'p', 'p.sock')}`);
    put('etc/q.spec', 'tcp://q:1');
    put('run/.hidden.sock.123', '');
    assert.equal(listPlugins(directories), ['p', 'q']);
    server.close();
  }));

test('bad spec files and names say so', () =>
  inFolder(async (folder) => {
    const directories = { socketDir: join(folder, 'none'), specDirs: [folder] };
    writeFileSync(join(folder, 'a.spec'), 'no address');
    writeFileSync(join(folder, 'b.json'), '{');
    writeFileSync(join(folder, 'c.json'), '[]');
    for (const name of ['a', 'b', 'c'])
      assert.throws(() => findPlugin(name, directories), /(\.spec|\.json) (holds|is|must)/);
    assert.is(findPlugin('../a', directories), undefined);
    const error = await errorOf(discoverPlugin('zzz', directories, [1, 1]));
    assert.is(error.line, 'plugin "zzz" not found [PROTO_PLUGIN_NOT_FOUND]');
    assert.throws(() => new PluginClient({ url: 'ftp://x' }), /is no address of a plugin/);
  }));

test.run();
