/** docker load in the shim: what is unpacked, byte for byte and bit for bit; and archives that mean harm. */
import * as assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { suite } from 'uvu';
import { getXattr } from '../../plugins/linux/special-file.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { callApi } from '../support/engine-api.ts';
import { createHost, type Host } from '../support/host.ts';
import { digestOf, dockerArchive, type EntrySpec, makeTar, ociArchive } from '../support/image-archive.ts';
import { requires } from '../support/requires.ts';

requires('root', 'overlayfs');

/** How often it is killed. */
const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 3);

const test = suite('docker load');
let host: Host;
let shim: Daemon;

test.before(async () => {
  host = await createHost({ name: 'load' });
  shim = await startDaemon('shim', host);
});

test.after(async () => {
  await host.close();
});

interface ProgressLine {
  readonly stream?: string;
  readonly error?: string;
}

async function load(archive: Buffer): Promise<{ status: number; lines: ProgressLine[]; error: string | undefined }> {
  const file = join(host.dir, 'archive.tar');
  writeFileSync(file, archive);
  const { status, body } = await callApi(host.path('/run/cleat/docker.sock'), 'POST', '/images/load?quiet=1', { file });
  const lines = typeof body === 'string' ? body.split('\r\n').filter(Boolean).map(parseLine) : [body as ProgressLine];
  const failed = lines.find((line) => line.error !== undefined || 'message' in line);
  return { status, lines, error: failed?.error ?? (failed as { message?: string } | undefined)?.message };
}

function parseLine(line: string): ProgressLine {
  return JSON.parse(line) as ProgressLine;
}

const dataRoot = () => join(shim.stateDir, 'shim');

/** Folders of layers on disk, without the one between images and containers. */
function layers(): string[] {
  return readdirSync(join(dataRoot(), 'layers')).filter((name) => name !== 'init');
}

async function removeAll(): Promise<void> {
  const images = await callApi(host.path('/run/cleat/docker.sock'), 'GET', '/images/json?all=1');
  for (const { Id } of images.body as { Id: string }[]) {
    await callApi(host.path('/run/cleat/docker.sock'), 'DELETE', `/images/${Id}?force=1`);
  }
}

async function assertNothingLeft(what: string): Promise<void> {
  // Files of what was removed go in the background.
  await eventually(`${what}: nothing temporary`, () => readdirSync(join(dataRoot(), 'tmp')).length === 0);
  assert.deepEqual(layers(), [], `${what}: layers`);
  assert.deepEqual(readdirSync(join(dataRoot(), 'blobs')), [], `${what}: blobs`);
}

async function unpack(entries: readonly EntrySpec[]): Promise<string> {
  await removeAll();
  const { error } = await load(dockerArchive({ tag: 'one:1', layers: [makeTar(entries)] }));
  assert.equal(error, undefined);
  const [name] = layers();
  assert.ok(name);
  return join(dataRoot(), 'layers', name);
}

test('owner, mode, times, links, devices and attributes are kept', async () => {
  // Bytes that are no UTF-8: cap_setuid,cap_setgid=ep, revision 2.
  const capability = Buffer.from('01000002c000000000000000000000000000000000'.slice(0, 40), 'hex').toString('latin1');
  const root = await unpack([
    { name: 'bin/', type: 'directory', mode: 0o1755, uid: 7, gid: 8, mtime: 1_600_000_000 },
    {
      name: 'bin/su',
      content: 'x',
      mode: 0o4755,
      uid: 1,
      gid: 2,
      mtime: 1_500_000_000.25,
      xattrs: { 'security.capability': capability },
    },
    { name: 'bin/hard', type: 'link', linkName: 'bin/su' },
    { name: 'bin/soft', type: 'symlink', linkName: '../../../../etc/passwd', uid: 3, gid: 4 },
    { name: 'dev/null', type: 'character', mode: 0o666, devMajor: 1, devMinor: 3 },
    { name: 'dev/loop300', type: 'block', mode: 0o600, devMajor: 259, devMinor: 300 },
    { name: 'run/pipe', type: 'fifo', mode: 0o640 },
    { name: `${'long/'.repeat(40)}name`, content: 'deep' },
    { name: 'caf\xe9', content: 'latin1 name' },
  ]);
  const su = lstatSync(join(root, 'bin/su'));
  assert.deepEqual([su.mode & 0o7777, su.uid, su.gid, su.mtimeMs], [0o4755, 1, 2, 1_500_000_000_250]);
  assert.equal(getXattr(join(root, 'bin/su'), 'security.capability')?.toString('latin1'), capability);
  const bin = lstatSync(join(root, 'bin'));
  assert.deepEqual([bin.mode & 0o7777, bin.uid, bin.gid, bin.mtimeMs], [0o1755, 7, 8, 1_600_000_000_000]);
  assert.equal(lstatSync(join(root, 'bin/hard')).ino, su.ino);
  assert.equal(readlinkSync(join(root, 'bin/soft')), '../../../../etc/passwd');
  assert.equal(lstatSync(join(root, 'bin/soft')).uid, 3);
  const device = lstatSync(join(root, 'dev/loop300'));
  assert.ok(device.isBlockDevice());
  assert.equal(device.rdev, 259 * 256 + (300 & 0xff) + ((300 & ~0xff) << 12));
  assert.ok(lstatSync(join(root, 'run/pipe')).isFIFO());
  assert.equal(readFileSync(join(root, `${'long/'.repeat(40)}name`), 'utf8'), 'deep');
  assert.ok(readdirSync(root, 'latin1').includes('caf\xe9'));
});

test('whiteouts become what overlayfs reads', async () => {
  const root = await unpack([
    { name: 'etc/.wh.passwd' },
    { name: 'var/', type: 'directory' },
    { name: 'var/.wh..wh..opq' },
    { name: '.wh..wh.plnk', content: 'of aufs' },
  ]);
  const gone = lstatSync(join(root, 'etc/passwd'));
  assert.ok(gone.isCharacterDevice());
  assert.equal(gone.rdev, 0);
  assert.equal(getXattr(join(root, 'var'), 'trusted.overlay.opaque')?.toString(), 'y');
  assert.deepEqual(readdirSync(join(root, 'var')), []);
  assert.deepEqual(readdirSync(root).sort(), ['etc', 'var']);
});

test('later entries win; a folder stays one', async () => {
  const root = await unpack([
    { name: 'a', content: 'first' },
    { name: 'a', content: 'second' },
    { name: 'b/c', content: 'in b' },
    { name: 'b/', type: 'directory', mode: 0o700 },
    { name: 'd/e', content: 'gone' },
    { name: 'd', content: 'a file now' },
  ]);
  assert.equal(readFileSync(join(root, 'a'), 'utf8'), 'second');
  assert.equal(readFileSync(join(root, 'b/c'), 'utf8'), 'in b');
  assert.equal(lstatSync(join(root, 'b')).mode & 0o777, 0o700);
  assert.equal(readFileSync(join(root, 'd'), 'utf8'), 'a file now');
});

test('every compression and both kinds of archive', async () => {
  const layer = makeTar([{ name: 'file', content: 'x'.repeat(100_000) }]);
  const image = { tag: 'same:1', layers: [layer] };
  const plain = dockerArchive(image);
  const archives: Readonly<Record<string, Buffer>> = {
    'docker archive': plain,
    'docker archive, gzip': gzipSync(plain),
    'docker archive, zstd': zstdCompressSync(plain),
    'docker archive, layers in gzip': dockerArchive({ ...image, stored: [gzipSync(layer)] }),
    'OCI layout, gzip': ociArchive({ ...image, stored: [gzipSync(layer)] }),
    'OCI layout, zstd': ociArchive({ ...image, stored: [zstdCompressSync(layer)] }),
    'OCI layout, plain': ociArchive(image, 'application/vnd.oci.image.layer.v1.tar'),
  };
  for (const [kind, archive] of Object.entries(archives)) {
    await removeAll();
    await assertNothingLeft(kind);
    const { lines, error } = await load(archive);
    assert.equal(error, undefined, kind);
    assert.equal(lines.at(-1)?.stream, 'Loaded image: same:1\n', kind);
    const saved = await callApi(host.path('/run/cleat/docker.sock'), 'GET', '/images/same:1/json');
    assert.deepEqual((saved.body as { RootFS: { Layers: string[] } }).RootFS.Layers, [digestOf(layer)], kind);
  }
});

test('archives that lead out of their folder', async () => {
  await removeAll();
  const outside = join(host.dir, 'outside');
  const refused: Readonly<Record<string, readonly EntrySpec[]>> = {
    'a name that climbs out': [{ name: '../../../../../outside', content: 'x' }],
    'a climb in the middle': [{ name: 'a/../../b', content: 'x' }],
    'a hard link to a file outside': [{ name: 'shadow', type: 'link', linkName: '../../../../../../etc/shadow' }],
    'a hard link through a link': [
      { name: 'out', type: 'symlink', linkName: '/etc' },
      { name: 'shadow', type: 'link', linkName: 'out/shadow' },
    ],
    'a whiteout outside': [{ name: '../.wh.outside' }],
    'a file below a file': [
      { name: 'a', content: 'x' },
      { name: 'a/b', content: 'y' },
    ],
    'a name that is too long': [{ name: 'n'.repeat(300), content: 'x' }],
  };
  for (const [what, entries] of Object.entries(refused)) {
    const { error } = await load(dockerArchive({ tag: 'bad:1', layers: [makeTar(entries)] }));
    assert.ok(error, `${what}: refused`);
    await assertNothingLeft(what);
  }
  assert.equal(existsSync(outside), false);
});

test('entries below a link stay inside', async () => {
  const outside = join(host.dir, 'escape');
  const root = await unpack([
    { name: 'out', type: 'symlink', linkName: outside },
    { name: 'out/file', content: 'x' },
    { name: 'up', type: 'symlink', linkName: '../../../../../../../../../..' },
    { name: 'up/file', content: 'y' },
    { name: 'over', type: 'symlink', linkName: join(outside, 'target') },
    { name: 'over', content: 'replaces the link' },
    { name: '/absolute', content: 'z' },
  ]);
  assert.equal(existsSync(outside), false);
  assert.equal(readFileSync(join(root, outside, 'file'), 'utf8'), 'x');
  assert.equal(readFileSync(join(root, 'file'), 'utf8'), 'y');
  assert.equal(readFileSync(join(root, 'over'), 'utf8'), 'replaces the link');
  assert.equal(readFileSync(join(root, 'absolute'), 'utf8'), 'z');
});

test('attributes that steer overlayfs are not taken from archives', async () => {
  const root = await unpack([
    { name: 'd/', type: 'directory', xattrs: { 'trusted.overlay.redirect': '/etc', 'user.mine': 'kept' } },
  ]);
  assert.equal(getXattr(join(root, 'd'), 'trusted.overlay.redirect'), undefined);
  assert.equal(getXattr(join(root, 'd'), 'user.mine')?.toString(), 'kept');
});

test('archives that are broken', async () => {
  await removeAll();
  const layer = makeTar([{ name: 'file', content: 'x'.repeat(10_000) }]);
  const good = dockerArchive({ tag: 'bad:1', layers: [layer] });
  const config = (text: string) => makeTar([{ name: 'c', content: text }, manifest('c', [])]);
  const refused: Readonly<Record<string, Buffer>> = {
    'no archive': Buffer.from('garbage'.repeat(200)),
    nothing: Buffer.alloc(0),
    'an empty tar': makeTar([]),
    'cut in the middle of a layer': good.subarray(0, 5000),
    'cut in gzip': gzipSync(good).subarray(0, 60),
    'gzip of garbage': gzipSync(Buffer.from('garbage'.repeat(200))),
    'another layer than the configuration says': dockerArchive({
      tag: 'bad:1',
      layers: [layer],
      stored: [makeTar([{ name: 'other' }])],
    }),
    'more layers than the configuration has': dockerArchive({ tag: 'bad:1', layers: [layer], stored: [layer, layer] }),
    'a layer that is no tar': dockerArchive({ tag: 'bad:1', layers: [Buffer.from('no tar at all'.repeat(100))] }),
    'a layer that is missing': makeTar([{ name: 'c', content: '{}' }, manifest('c', ['nowhere'])]),
    'a manifest that is no JSON': makeTar([{ name: 'manifest.json', content: '[{' }]),
    'a manifest that is no list': makeTar([{ name: 'manifest.json', content: '{}' }]),
    'a manifest with wrong types': makeTar([{ name: 'manifest.json', content: '[{"Config":1,"Layers":"x"}]' }]),
    'a configuration that is no JSON': config('nothing'),
    'a configuration with wrong types': config('{"rootfs":{"diff_ids":[1]}}'),
    'another operating system': config('{"os":"windows","rootfs":{"diff_ids":[]}}'),
    'an image name that is none': dockerArchive({ tag: 'BAD NAME', layers: [layer] }),
    'links in a circle': makeTar([
      { name: 'manifest.json', type: 'symlink', linkName: 'b' },
      { name: 'b', type: 'symlink', linkName: 'manifest.json' },
    ]),
  };
  for (const [what, archive] of Object.entries(refused)) {
    const { error } = await load(archive);
    assert.ok(error, `${what}: refused`);
    await assertNothingLeft(what);
  }
  assert.equal((await callApi(host.path('/run/cleat/docker.sock'), 'GET', '/_ping')).status, 200);
});

function manifest(config: string, layerNames: readonly string[]): EntrySpec {
  return { name: 'manifest.json', content: JSON.stringify([{ Config: config, RepoTags: null, Layers: layerNames }]) };
}

test('an image of 120 layers runs through a page of mount options', async () => {
  await removeAll();
  const many = Array.from({ length: 120 }, (_, index) => makeTar([{ name: `file${index}`, content: String(index) }]));
  assert.equal((await load(dockerArchive({ tag: 'many:1', layers: many }))).error, undefined);
  assert.equal(layers().length, 120);
  const api = (method: string, path: string, body?: Readonly<Record<string, unknown>>) =>
    callApi(host.path('/run/cleat/docker.sock'), method, path, body);
  const created = await api('POST', '/containers/create?name=many', {
    ...{ Image: 'many:1', Cmd: ['x'], HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'none' } } },
  });
  assert.equal(created.status, 201);
  const exported = await api('GET', '/containers/many/export');
  assert.equal(exported.status, 200);
  assert.match(String(exported.body), /file119/);
  assert.equal((await api('DELETE', '/containers/many')).status, 204);
});

test('bombs are stopped while there is room for others', async () => {
  await host.sh('mkdir -p /run/small; mount -t tmpfs -o size=200m,nr_inodes=20000 small /run/small');
  const folders = [
    '--run-dir',
    '/run/small-run',
    '--data-root',
    '/run/small/data',
    '--exec-root',
    '/run/small-run/exec',
  ];
  const small = await startDaemon('shim', host, { args: folders });
  const socketPath = host.path('/run/small-run/docker.sock');
  const post = async (archive: Buffer) => {
    const file = join(host.dir, 'bomb.tar');
    writeFileSync(file, archive);
    return JSON.stringify((await callApi(socketPath, 'POST', '/images/load?quiet=1', { file })).body);
  };
  const zeros = makeTar([{ name: 'zeros', content: Buffer.alloc(160 << 20) }]);
  const files = makeTar(Array.from({ length: 25_000 }, (_, index) => ({ name: `d/${index}` })));
  for (const layer of [zeros, files]) {
    const answer = await post(dockerArchive({ tag: 'bomb:1', layers: [layer], stored: [gzipSync(layer)] }));
    assert.match(answer, /no space left on device/);
    await eventually(
      'it is gone',
      async () =>
        (await host.sh('ls /run/small/data/tmp /run/small/data/blobs; ls /run/small/data/layers'))
          .trim()
          .split(/\s+/)
          .at(-1) === 'init',
    );
    const used = Number(await host.sh('df --output=used -B1M /run/small | tail -1'));
    assert.ok(used < 20, `${used} MB are left in use`);
  }
  assert.match(
    await post(dockerArchive({ tag: 'small:1', layers: [makeTar([{ name: 'a', content: 'x' }])] })),
    /small:1/,
  );
  await small.stop();
});

test('loads, tags and removals at once keep whole what is there', async () => {
  await removeAll();
  const socketPath = host.path('/run/cleat/docker.sock');
  const archives = [0, 1, 2].map((number) => {
    // The first layer is everybody's.
    const image = [makeTar([{ name: 'common', content: 'x'.repeat(50_000) }]), makeTar([{ name: `own${number}` }])];
    const file = join(host.dir, `image${number}.tar`);
    writeFileSync(file, dockerArchive({ tag: `image${number}:1`, layers: image }));
    return file;
  });
  const work = Array.from({ length: 60 }, async (_, index) => {
    const file = archives[index % 3] as string;
    if (index % 2 === 0) return callApi(socketPath, 'POST', '/images/load?quiet=1', { file });
    if (index % 5 === 0) return callApi(socketPath, 'POST', `/images/image${index % 3}:1/tag?repo=other&tag=${index}`);
    return callApi(socketPath, 'DELETE', `/images/image${index % 3}:1?force=1`);
  });
  for (const { status, body } of await Promise.all(work)) {
    assert.ok([200, 201, 404].includes(status), JSON.stringify(body));
    assert.doesNotMatch(JSON.stringify(body), /errorDetail/);
  }
  for (const [index, file] of archives.entries()) {
    await callApi(socketPath, 'POST', '/images/load?quiet=1', { file });
    const name = `whole${index}`;
    const created = await callApi(socketPath, 'POST', `/containers/create?name=${name}`, {
      ...{ Image: `image${index}:1`, Cmd: ['x'], HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'none' } } },
    });
    assert.equal(created.status, 201, JSON.stringify(created.body));
    const exported = String((await callApi(socketPath, 'GET', `/containers/${name}/export`)).body);
    assert.ok(exported.includes('common') && exported.includes(`own${index}`));
    await callApi(socketPath, 'DELETE', `/containers/${name}`);
  }
  await removeAll();
  await assertNothingLeft('after all of it');
});

test('a client that goes away half way leaves nothing', async () => {
  await removeAll();
  const archive = dockerArchive({
    tag: 'half:1',
    layers: [makeTar([{ name: 'big', content: Buffer.alloc(8 << 20) }])],
  });
  await new Promise<void>((resolve) => {
    const call = request({
      ...{ socketPath: host.path('/run/cleat/docker.sock'), method: 'POST', path: '/images/load' },
      headers: { 'content-type': 'application/x-tar', 'content-length': archive.length },
    });
    call.on('error', () => {});
    call.on('close', () => resolve());
    call.write(archive.subarray(0, 4 << 20), () => call.destroy());
  });
  await assertNothingLeft('a client that went away');
});

test('killed at any moment of a load, it starts clean and loads again', async () => {
  await removeAll();
  const content = Buffer.alloc(24 << 20, 'x');
  const archive = dockerArchive({
    tag: 'killed:1',
    layers: [makeTar([{ name: 'a', content }]), makeTar([{ name: 'b', content }])],
  });
  for (let round = 0; round < rounds; round += 1) {
    const loading = load(archive).catch(() => undefined);
    await delay(Math.random() * 300);
    await shim.kill();
    await loading;
    await shim.start();
    const images = (await callApi(host.path('/run/cleat/docker.sock'), 'GET', '/images/json')).body as unknown[];
    // All of it or nothing.
    if (images.length === 0) await assertNothingLeft(`round ${round}`);
    else assert.equal(layers().length, 2);
    await removeAll();
  }
  assert.equal((await load(archive)).error, undefined);
});

test('what a crash left half made goes at the next start', async () => {
  await removeAll();
  await shim.kill();
  for (const name of ['layers/9zz', 'tmp/half']) {
    mkdirSync(join(dataRoot(), name, 'tree'), { recursive: true });
    writeFileSync(join(dataRoot(), name, 'tree/file'), 'left');
  }
  writeFileSync(join(dataRoot(), 'blobs/half'), 'left');
  await shim.start();
  await assertNothingLeft('after a crash');
});

test.run();
