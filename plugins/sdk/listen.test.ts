import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginClient } from './client.ts';
import { discoverPlugin, findPlugin } from './discovery.ts';
import { PluginError } from './errors.ts';
import { listenPlugin, type Place } from './listen.ts';
import type { Plugin } from './plugin.ts';
import type { VolumeDriver } from './volume-plugin.ts';

const volume: VolumeDriver = {
  capabilities: { scope: 'local' },
  create: async () => undefined,
  get: async ({ name }) => ({ name }),
  list: async () => [],
  mount: async () => '/mnt/v',
  unmount: async () => undefined,
  path: async () => undefined,
  remove: async () => undefined,
};
const plugin: Plugin = { name: 'p', volume };

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cleat-listen-'));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function refusal(place: Place): Promise<string> {
  try {
    await (await listenPlugin(plugin, place)).close();
  } catch (error) {
    if (error instanceof PluginError) return error.line;
    throw error;
  }
  return 'it listened';
}

test('the socket is 0600 under any mask, alone in its directory, and goes when the plugin closes', () =>
  inFolder(async (folder) => {
    const before = process.umask(0);
    const listening = await listenPlugin(plugin, { pluginDir: join(folder, 'made', 'here') });
    assert.is(process.umask(before), 0, 'the mask is as it was');
    const path = join(folder, 'made', 'here', 'p.sock');
    assert.is(listening.address, path);
    assert.is((lstatSync(path).mode & 0o777).toString(8), '600');
    assert.equal(readdirSync(join(folder, 'made', 'here')), ['p.sock']);
    const client = new PluginClient({ url: `unix://${path}` });
    assert.equal(await client.activate(), ['volume']);
    client.close();
    await listening.close();
    await listening.close();
    assert.equal(readdirSync(join(folder, 'made', 'here')), []);
  }));

test('a living socket is refused, a dead one replaced, a file left alone', () =>
  inFolder(async (folder) => {
    const first = await listenPlugin(plugin, { pluginDir: folder });
    assert.match(
      await refusal({ pluginDir: folder }),
      /another process answers on .*p\.sock.*\[PROTO_ADDRESS_IN_USE\]/,
    );
    const client = new PluginClient(findPlugin('p', { socketDir: folder, specDirs: [] })!);
    assert.equal(await client.activate(), ['volume'], 'the first one still answers');
    client.close();
    await first.close();

    // A process that was killed leaves its socket behind.
    const script = `require('net').createServer().listen(${JSON.stringify(join(folder, 'p.sock'))}, () => process.kill(process.pid, 'SIGKILL'))`;
    await promisify(execFile)(process.execPath, ['-e', script]).catch(() => undefined);
    assert.ok(existsSync(join(folder, 'p.sock')));
    const second = await listenPlugin(plugin, { pluginDir: folder });
    await second.close();

    writeFileSync(join(folder, 'p.sock'), 'precious');
    assert.match(await refusal({ pluginDir: folder }), /exists and is no socket; move it away/);
    assert.is(readFileSync(join(folder, 'p.sock'), 'utf8'), 'precious');
  }));

test('a path that no socket can have is refused in words', () =>
  inFolder(async (folder) => {
    assert.match(
      await refusal({ pluginDir: join(folder, 'x'.repeat(100)) }),
      /is longer than 107 bytes; use a directory/,
    );
    const longest = join(folder, `${'x'.repeat(107 - folder.length - 6)}.sock`);
    assert.is(await refusal({ socketPath: longest }), 'it listened');
  }));

test("a successor's socket is not removed", () =>
  inFolder(async (folder) => {
    const first = await listenPlugin(plugin, { socketPath: join(folder, 'x.sock') });
    rmSync(join(folder, 'x.sock'));
    const successor = createServer().listen(join(folder, 'x.sock'));
    await once(successor, 'listening');
    await first.close();
    assert.ok(existsSync(join(folder, 'x.sock')));
    successor.close();
  }));

test('names that would leave the directory are refused', async () => {
  for (const name of ['../x', 'a/b', '', '.x', 'a b']) {
    const listening = listenPlugin({ ...plugin, name }, { pluginDir: tmpdir() });
    await listening.then(
      () => assert.unreachable(name),
      (error: PluginError) => assert.match(error.line, /is no plugin name/),
    );
  }
});

test('closing lets a running call finish, and an idle connection does not hold it up', () =>
  inFolder(async (folder) => {
    const gate = Promise.withResolvers<void>();
    const running = Promise.withResolvers<void>();
    const slow = {
      ...volume,
      async create() {
        running.resolve();
        await gate.promise;
      },
    };
    const listening = await listenPlugin({ name: 'p', volume: slow }, { pluginDir: folder });
    const client = new PluginClient({ url: `unix://${join(folder, 'p.sock')}` });
    await client.activate();
    const idle = connect(join(folder, 'p.sock'));
    await once(idle, 'connect');
    const call = client.volume.create({ name: 'v', options: {} });
    await running.promise;
    const closing = listening.close();
    assert.is(existsSync(join(folder, 'p.sock')), false);
    gate.resolve();
    await call;
    await closing;
    client.close();
  }));

test('a plugin on TCP writes a spec file, and takes it away', () =>
  inFolder(async (folder) => {
    const listening = await listenPlugin(plugin, { tcp: { host: '127.0.0.1', port: 0, specDir: folder } });
    assert.is(readFileSync(join(folder, 'p.spec'), 'utf8'), `tcp://${listening.address}\n`);
    const address = await discoverPlugin('p', { socketDir: join(folder, 'none'), specDirs: [folder] });
    const client = new PluginClient(address);
    assert.equal(await client.activate(), ['volume']);
    client.close();
    await listening.close();
    assert.equal(readdirSync(folder), []);
  }));

test('with TLS the spec is JSON, the server is verified and strangers are refused', () =>
  inFolder(async (folder) => {
    const file = (name: string) => join(folder, name);
    const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: folder });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    await openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca', '-days', '2');
    for (const name of ['server', 'client']) {
      await openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      writeFileSync(file(`${name}.ext`), 'subjectAltName=IP:127.0.0.1');
      const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`];
      await openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...by);
    }
    const read = (name: string) => readFileSync(file(name), 'utf8');
    const tls = { key: read('server.key'), cert: read('server.pem'), ca: read('ca.pem') };
    const clientTls = { caFile: file('ca.pem'), certFile: file('client.pem'), keyFile: file('client.key') };
    const tcp = { host: '127.0.0.1', port: 0, specDir: join(folder, 'spec'), clientTls };
    const listening = await listenPlugin(plugin, { tcp, tls });
    const directories = { socketDir: join(folder, 'none'), specDirs: [join(folder, 'spec')] };
    const address = findPlugin('p', directories)!;
    assert.is(address.url, `https://${listening.address}`);
    assert.is(address.tls?.insecureSkipVerify, false);
    const client = new PluginClient(address);
    assert.equal(await client.activate(), ['volume']);
    client.close();
    const retry = { delaysMs: [], windowMs: 0 };
    for (const stranger of [{ url: address.url }, { url: address.url, tls: { insecureSkipVerify: true } }]) {
      const other = new PluginClient(stranger, { retry });
      await other.activate().then(
        () => assert.unreachable('a stranger was served'),
        (error: PluginError) => assert.is(error.code, 'PROTO_UNREACHABLE'),
      );
      other.close();
    }
    await listening.close();
    assert.equal(readdirSync(join(folder, 'spec')), []);
  }));

test.run();
