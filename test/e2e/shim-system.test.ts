/** info, version, ping, system df, events and prune on the shim and on real engines: the same fields, the same events. */
import * as assert from 'node:assert/strict';
import { suite } from 'uvu';
import { eventually } from '../support/deadline.ts';
import { type Engine, engineVersions, startEngine } from '../support/engine.ts';
import { callApi } from '../support/engine-api.ts';
import { requires } from '../support/requires.ts';
import { runOnEngine, type Shim, startShim } from '../support/shim.ts';

requires('root', 'overlayfs', 'engine-20.10', 'engine-28', 'program:conmon');

const bare = ['--network', 'none', '--log-driver', 'none'];

type Fields = Readonly<Record<string, unknown>>;

for (const version of engineVersions) {
  const test = suite(`system, docker ${version}`);
  let engine: Engine;
  let shim: Shim;
  /** The version of the API that both speak. */
  const prefix = version === '28' ? '/v1.51' : '/v1.41';

  test.before(async () => {
    engine = await startEngine({ version });
    shim = await startShim(engine);
    const archive = `${engine.host.dir}/busybox.tar`;
    await engine.docker('save', '-o', archive, 'busybox');
    await shim.docker('load', '-i', archive);
  });

  test.after(async () => {
    await engine.close();
  });

  const shimSocket = () => engine.host.path('/run/cleat/docker.sock');

  async function both(path: string): Promise<[engine: Fields, shim: Fields]> {
    const replies = await Promise.all(
      [engine.socket, shimSocket()].map((socket) => callApi(socket, 'GET', prefix + path)),
    );
    return replies.map(({ body }) => body) as [Fields, Fields];
  }

  test('info has the fields that clients read, of the same kinds', async () => {
    const [expected, found] = await both('/info');
    /** Of the engine's own parts. */
    const own = ['ClusterAdvertise', 'ClusterStore', 'FirewallBackend', 'Containerd', 'SystemStatus'];
    const missing = Object.keys(expected).filter((key) => !(key in found) && !own.includes(key));
    assert.deepEqual(missing, []);
    const kind = (value: unknown) => (Array.isArray(value) ? 'list' : typeof value);
    const wrong = Object.keys(expected).filter(
      (key) =>
        key in found && expected[key] !== null && found[key] !== null && kind(expected[key]) !== kind(found[key]),
    );
    assert.deepEqual(wrong, []);
    for (const key of [
      'CgroupVersion',
      'MemoryLimit',
      'SwapLimit',
      'PidsLimit',
      'CPUSet',
      'NCPU',
      'KernelVersion',
      'OSType',
    ]) {
      assert.deepEqual(found[key], expected[key], key);
    }
  });

  test('version, ping and their headers', async () => {
    const [expected, found] = await both('/version');
    assert.deepEqual(
      Object.keys(expected).filter((key) => !(key in found)),
      [],
    );
    const headers = async (socket: string) => {
      const { stdout } = await engine.host.run('curl', ['-s', '-I', '--unix-socket', socket, 'http://d/_ping']);
      const names = stdout.split('\r\n').map((line) => line.split(':')[0]?.toLowerCase() ?? '');
      return new Set(names);
    };
    const there = await headers('/run/docker.sock');
    const here = await headers('/run/cleat/docker.sock');
    // A builder is what this engine has not.
    for (const name of there) assert.ok(here.has(name) || name === 'builder-version', name);
    assert.ok((await shim.docker('version')).stdout.includes('Server: cleat'));
    assert.equal((await shim.docker('info', '--format', '{{.Driver}}')).stdout.trim(), 'overlay2');
  });

  test('system df counts the same', async () => {
    const [expected, found] = await both('/system/df');
    assert.equal(found['LayersSize'], expected['LayersSize']);
    const images = (fields: Fields) => Object.keys((fields['Images'] as Fields[])[0] ?? {}).sort();
    assert.deepEqual(images(found), images(expected));
    assert.equal((await shim.docker('system', 'df', '-v')).code, 0);
  });

  test('events of images and containers, kept and live', async () => {
    const since = String(Math.floor(Date.now() / 1000));
    await eventually('a new second', () => String(Math.floor(Date.now() / 1000)) !== since);
    const steps = [
      ['tag', 'busybox', 'event:1'],
      ['rmi', 'event:1'],
      ['create', '--name', 'quiet', '--label', 'l=m', ...bare, 'busybox', 'true'],
      ['rm', 'quiet'],
    ];
    for (const args of steps) {
      assert.equal((await runOnEngine(engine, ...args)).code, 0);
      assert.equal((await shim.docker(...args)).code, 0);
    }
    // The docker command cuts times to seconds.
    const until = String(Math.floor(Date.now() / 1000) + 1);
    const query = ['events', '--since', String(Number(since) + 1), '--until', until, '--format'];
    const format = '{{.Type}} {{.Action}} {{json .Actor.Attributes}} {{.Scope}}';
    const expected = await runOnEngine(engine, ...query, format);
    const found = await shim.docker(...query, format);
    assert.equal(found.stdout, expected.stdout);
    for (const filter of ['type=image', 'event=tag', 'container=quiet', 'label=l=m', 'image=busybox', 'scope=swarm']) {
      const [there, here] = [
        await runOnEngine(engine, ...query, format, '--filter', filter),
        await shim.docker(...query, format, '--filter', filter),
      ];
      assert.equal(here.stdout, there.stdout, filter);
    }
  });

  test('prune with everything in it', async () => {
    for (const run of [(...args: string[]) => runOnEngine(engine, ...args), shim.docker]) {
      await run('create', '--name', 'old', '--label', 'keep=no', ...bare, 'busybox', 'true');
      assert.match((await run('container', 'prune', '-f', '--filter', 'label=keep=yes')).stdout, /reclaimed space: 0B/);
      assert.match(
        (await run('container', 'prune', '-f', '--filter', 'label!=keep=yes')).stdout,
        /Deleted Containers:\n/,
      );
      assert.match(
        (await run('system', 'prune', '-af')).stdout,
        /untagged: busybox:latest[\s\S]*reclaimed space: 1\.984MB/,
      );
      assert.equal((await run('images', '-q')).stdout, '');
    }
  });

  test.run();
}
