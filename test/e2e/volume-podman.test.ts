/** Our volumes under Podman, which counts by itself and has one ID for all, and under docker compose. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { createPodman, type Podman } from '../support/podman.ts';
import { requires } from '../support/requires.ts';
import { volumeClient } from '../support/volume-client.ts';

requires('root', 'engine-28');

const podmanTest = suite('volume-podman');
let host: Host;
let volumed: Daemon;
let engine: Engine;
let podman: Podman['run'];

podmanTest.before(async () => {
  host = await createHost({ name: 'podman' });
  volumed = await startDaemon('volumed', host);
  engine = await startEngine({ version: '28', host });
  const plugins = ['cleat-local', 'cleat-tmpfs', 'cleat-nfs'].map((name) => [name, `/run/docker/plugins/${name}.sock`]);
  podman = (await createPodman(host, engine, Object.fromEntries(plugins))).run;
});

podmanTest.after(async () => {
  await engine?.close();
  await host?.close();
});

const run = ['run', '--network', 'none'];

async function holders(name: string): Promise<number> {
  const status = await volumeClient(volumed.socket('cleat-local')).status(name);
  return (status['holders'] as unknown[]).length;
}

podmanTest('create, use, inspect, remove', async () => {
  await podman('volume', 'create', '-d', 'cleat-local', '-o', 'size=16m', 'pv');
  assert.match(await podman('volume', 'ls'), /cleat-local\s+pv/);
  await podman(...run, '--rm', '-v', 'pv:/d', 'busybox', 'sh', '-c', 'echo pod >/d/f');
  assert.is(await podman(...run, '--rm', '-v', 'pv:/d', 'busybox', 'cat', '/d/f'), 'pod');
  const [inspected] = JSON.parse(await podman('volume', 'inspect', 'pv')) as [{ Status: { options: unknown } }];
  assert.equal(inspected.Status.options, { size: '16m' });
  assert.is(await holders('pv'), 0);
  await podman('volume', 'rm', 'pv');
  assert.equal(await volumeClient(volumed.socket('cleat-local')).names(), []);
});

podmanTest('two containers at once hold it once; the last one releases it', async () => {
  await podman('volume', 'create', '-d', 'cleat-tmpfs', 'shared');
  await podman('volume', 'create', '-d', 'cleat-local', 'disk');
  const mounts = ['-v', 'shared:/d', '-v', 'disk:/e'];
  await podman(...run, '-d', '--name', 'p1', ...mounts, 'busybox', 'sleep', '600');
  await podman(...run, '-d', '--name', 'p2', ...mounts, 'busybox', 'sleep', '600');
  await podman('exec', 'p1', 'sh', '-c', 'echo both >/d/f');
  assert.is(await podman('exec', 'p2', 'cat', '/d/f'), 'both');
  assert.is(await holders('disk'), 1);
  await podman('rm', '-f', '-t', '0', 'p1');
  assert.is(await podman('exec', 'p2', 'cat', '/d/f'), 'both');
  await volumed.kill();
  await volumed.start();
  assert.is(await podman('exec', 'p2', 'cat', '/d/f'), 'both');
  await podman('rm', '-f', '-t', '0', 'p2');
  await eventually('nobody holds it', async () => (await holders('disk')) === 0);
  await podman('volume', 'rm', 'shared', 'disk');
});

podmanTest('prune removes our volumes as well', async () => {
  await podman('volume', 'create', '-d', 'cleat-local', 'unused');
  await podman('volume', 'prune', '-f');
  assert.equal(await volumeClient(volumed.socket('cleat-local')).names(), []);
});

podmanTest('wrong options and names are refused with the reason', async () => {
  for (const [args, pattern] of [
    [['-o', 'sise=1', 'wrong'], /did you mean "size"/],
    [['-d', 'cleat-local', 'x'], /VOL_NAME/],
  ] as const) {
    await podman('volume', 'create', '-d', 'cleat-local', ...args).then(
      () => assert.unreachable(args.join(' ')),
      (error: Error) => assert.match(error.message, pattern),
    );
  }
});

podmanTest('a dead NFS server: an answer before Podman gives up, and everything else goes on', async () => {
  await podman(
    'volume',
    'create',
    '-d',
    'cleat-nfs',
    '-o',
    'server=192.0.2.1',
    '-o',
    'export=/x',
    '-o',
    'mount-timeout=60s',
    'dead',
  );
  await podman(...run, '--rm', '-v', 'dead:/d', 'busybox', 'true').then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /VOL_/),
  );
  await podman('volume', 'rm', 'dead');
});

podmanTest('docker compose: up, down, options and labels in the file, down --volumes', async () => {
  const folder = join(host.dir, 'project');
  mkdirSync(folder);
  writeFileSync(
    join(folder, 'compose.yaml'),
    `services:
  writer: { image: busybox, network_mode: none, command: "sh -c 'echo composed >/d/f; sleep 600'", volumes: ["data:/d"] }
  reader: { image: busybox, network_mode: none, command: sleep 600, volumes: ["data:/d:ro", "memory:/m"] }
volumes:
  data: { driver: cleat-local, driver_opts: { size: 16m, uid: "1000" }, labels: { a: b } }
  memory: { driver: cleat-tmpfs, driver_opts: { size: 1m } }
`,
  );
  const compose = async (...args: readonly string[]): Promise<string> =>
    (await engine.dockerWith({}, 'compose', '--project-directory', folder, '-p', 'vol', ...args)).stdout.trim();
  await compose('up', '-d');
  await eventually('it is written', async () => (await compose('exec', '-T', 'reader', 'cat', '/d/f')) === 'composed');
  assert.match(await compose('exec', '-T', 'reader', 'stat', '-c', '%u', '/d'), /^1000$/);
  await compose('down', '-t', '0');
  assert.match(await engine.docker('volume', 'ls', '-q'), /vol_data/);
  await compose('up', '-d');
  await compose('down', '-t', '0', '--volumes');
  assert.is(await engine.docker('volume', 'ls', '-q'), '');
  assert.is(await host.sh(`grep ${volumed.stateDir}/mounts /proc/self/mountinfo || true`), '');
});

podmanTest.run();
