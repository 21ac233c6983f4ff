/** cleat-nfs against the kernel's own server: versions, sharing, sub-folders, and every way in which a server can go away. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { deadline, eventually } from '../support/deadline.ts';
import { requiresOrGuest } from '../support/guest.ts';
import { createHost, type Host } from '../support/host.ts';
import { exportAll, type NfsServer, startNfsServer } from '../support/nfs-server.ts';
import { createSegment, type Segment } from '../support/segment.ts';
import type { VolumeClient } from '../support/volume-client.ts';
import { createVolumeHost, type VolumeHost } from '../support/volume-host.ts';

await requiresOrGuest(fileURLToPath(import.meta.url), 'root', 'nfs', 'nfsd');

const serverAddress = '192.0.2.10';
const movedAddress = '192.0.2.11';
const clientAddress = '192.0.2.1';

interface Bench {
  readonly segment: Segment;
  readonly serverHost: Host;
  readonly server: NfsServer;
  readonly client: Host;
  readonly volumes: VolumeHost;
  readonly nfs: VolumeClient;
  readonly port: string;
}

const nfsTest = suite<{ bench: Bench }>('volume-nfs');
let bench: Bench;

nfsTest.before(async () => {
  const segment = await createSegment();
  const serverHost = await createHost({ name: 'nfs-server' });
  const volumes = await createVolumeHost();
  const { host: client, nfs } = volumes;
  const port = await segment.attach(serverHost, { addresses: [`${serverAddress}/24`] });
  await segment.attach(client, { addresses: [`${clientAddress}/24`] });
  await client.sh(`echo '${serverAddress} files.example.org' >>/etc/hosts`);
  const server = await startNfsServer(serverHost);
  bench = { segment, serverHost, server, client, volumes, nfs, port };
});

nfsTest.after(async () => {
  await bench?.client.close();
  await bench?.serverHost.close();
  await bench?.segment.close();
});

/** For mounts from a server that is well: the guest is slow, and the default is short because of Podman. */
const unhurried = { 'mount-timeout': '30s' };

/** The same for volumes that keep the default, since they are mounted from a dead server as well: a user would try again. */
async function mountAtLast(name: string, id: string): Promise<string> {
  return await eventually(`${name} is mounted`, () => bench.nfs.mount(name, id), { timeoutMs: 60_000, everyMs: 250 });
}

/** An answer that comes although the server is down; without a deadline of ours it would never come. */
const answered = <T>(what: string, work: Promise<T>): Promise<T> => deadline(what, 30_000, work);

async function mounts(): Promise<string> {
  return await bench.client.sh("grep ' nfs4\\? ' /proc/self/mounts || true");
}

for (const version of ['3', '4.0', '4.1', '4.2']) {
  nfsTest(`version ${version}: what a volume writes is on the server`, async () => {
    const { nfs, client, serverHost } = bench;
    const path = version === '3' ? '/srv/export' : '/';
    const name = `v${version.replace('.', '')}`;
    await nfs.create(name, {
      server: serverAddress,
      export: path,
      version,
      ...(version === '3' ? { nolock: '' } : {}),
      ...unhurried,
    });
    const mountpoint = await nfs.mount(name, 'a'.repeat(64));
    assert.match(await mounts(), new RegExp(`vers=${version.replace('.', '\\.')}`));
    await client.sh(`echo from-${version} >${mountpoint}/file-${version}`);
    assert.is(await serverHost.sh(`cat /srv/export/file-${version}`), `from-${version}`);
    const status = await nfs.status(name);
    assert.is(status['health'], 'mounted');
    assert.is(status['server'], serverAddress);
    await nfs.unmount(name, 'a'.repeat(64));
    await nfs.remove(name);
    assert.is(await mounts(), '', 'nothing stays mounted');
    assert.is(
      await serverHost.sh(`cat /srv/export/file-${version}`),
      `from-${version}`,
      'remove leaves the server alone',
    );
  });
}

nfsTest("Docker's own options, and negotiation of the version", async () => {
  const { nfs } = bench;
  await nfs.create('docker-style', { type: 'nfs', o: `addr=${serverAddress},rw`, device: ':/', ...unhurried });
  await nfs.mount('docker-style', 'x');
  assert.match(await mounts(), /vers=4\.2/);
  await nfs.unmount('docker-style', 'x');
  await nfs.remove('docker-style');
});

nfsTest('many volumes share one mount of an export, and each has its own sub-folder, made with its owner', async () => {
  const { nfs, client, serverHost } = bench;
  const common = { server: 'files.example.org', export: '/', version: '4.2', ...unhurried };
  for (const name of ['one', 'two', 'three']) {
    await nfs.create(name, { ...common, subdir: `apps/${name}`, uid: '1000', gid: '1001', mode: '2750' });
  }
  const paths = await Promise.all(['one', 'two', 'three'].map((name) => nfs.mount(name, name)));
  assert.is((await mounts()).split('\n').filter((line) => line.includes('/exports/')).length, 1);
  assert.is(await serverHost.sh('stat -c "%u %g %a" /srv/export/apps/two'), '1000 1001 2750');
  await client.sh(`echo 1 >${paths[0]}/mine`);
  assert.not(await serverHost.sh('ls /srv/export/apps/two').then((text) => text.includes('mine')));
  for (const name of ['one', 'two']) await nfs.unmount(name, name);
  assert.is(await client.sh(`cat ${paths[2]}/../root/mine 2>/dev/null || echo none`), 'none');
  assert.match(await mounts(), /exports/, 'the last one still has it');
  await nfs.unmount('three', 'three');
  assert.is(await mounts(), '');
  for (const name of ['one', 'two', 'three']) await nfs.remove(name);
});

nfsTest('a link on the server that leads out of the export is refused', async () => {
  const { nfs, serverHost } = bench;
  await serverHost.sh('ln -s /etc /srv/export/planted');
  await nfs.create('planted', { server: serverAddress, export: '/', version: '4.2', subdir: 'planted', ...unhurried });
  const reply = await nfs.call('Mount', { Name: 'planted', ID: 'x' });
  assert.match(reply.Err ?? '', /VOL_DEVICE/);
  await nfs.create('planted2', {
    server: serverAddress,
    export: '/',
    version: '4.2',
    subdir: 'planted/new',
    ...unhurried,
  });
  assert.match((await nfs.call('Mount', { Name: 'planted2', ID: 'x' })).Err ?? '', /VOL_DEVICE/);
  assert.not(existsSync('/etc/new'));
  await nfs.remove('planted');
  await nfs.remove('planted2');
  assert.is(await mounts(), '');
});

nfsTest(
  'server down before create and at mount: bounded, others not affected, and it works when the server is back',
  async () => {
    const { nfs, server, volumes } = bench;
    const { local } = volumes;
    await server.stop();
    await nfs.create('early', { server: serverAddress, export: '/', version: '4.2' });
    const failing = nfs.call('Mount', { Name: 'early', ID: 'x' });
    await local.create('beside');
    await local.mount('beside', 'y');
    await answered('List', nfs.names());
    const reply = await answered('Mount', failing);
    assert.match(JSON.stringify(reply), /VOL_SERVER/);
    assert.is((await nfs.status('early'))['health'], 'failed');
    await server.start();
    await mountAtLast('early', 'x');
    assert.is((await nfs.status('early'))['health'], 'mounted');
    await nfs.unmount('early', 'x');
    await nfs.remove('early');
    await local.unmount('beside', 'y');
    await local.remove('beside');
  },
);

nfsTest('a longer mount-timeout waits for a server that comes up', async () => {
  const { nfs, server } = bench;
  await server.stop();
  await nfs.create('patient', { server: serverAddress, export: '/', version: '4.2', 'mount-timeout': '60s' });
  const mounting = nfs.mount('patient', 'x');
  await eventually('the first try has failed', async () => (await nfs.status('patient'))['health'] !== 'mounted');
  await server.start();
  assert.match(await mounting, /^\//);
  await nfs.unmount('patient', 'x');
  await nfs.remove('patient');
});

nfsTest(
  'server gone while mounted: List and Get stay quick, other volumes work, unmount is lazy and says so',
  async () => {
    const { nfs, segment, port, volumes, client } = bench;
    const { local } = volumes;
    await nfs.create('held', { server: serverAddress, export: '/', version: '4.2' });
    await mountAtLast('held', 'x');
    await segment.host.sh(`ip link set ${port} down`);
    try {
      // A process that hangs on the dead server, as a container's would.
      client.start('stat', [`${volumes.stateDir}/mounts/cleat-nfs/held/root/nothing`]);
      await answered('List', nfs.names());
      await answered('Get', nfs.get('held'));
      await local.create('alive');
      await local.mount('alive', 'y');
      await local.unmount('alive', 'y');
      await local.remove('alive');
      const second = await answered('a second Mount', nfs.call('Mount', { Name: 'held', ID: 'y' }));
      assert.match(second.Err ?? '', /VOL_SERVER|VOL_MOUNT_TIMEOUT/);
      await answered('Unmount', nfs.unmount('held', 'x'));
      await eventually('it is out of sight', async () => (await mounts()) === '', { timeoutMs: 30_000 });
      await eventually('Status says how', async () => JSON.stringify(await nfs.status('held')).includes('lazily'));
    } finally {
      await segment.host.sh(`ip link set ${port} up`);
    }
    await mountAtLast('held', 'z');
    await nfs.unmount('held', 'z');
    await nfs.remove('held');
  },
);

nfsTest('stale handle: a new mount gets the new folder', async () => {
  const { nfs, serverHost, client } = bench;
  await serverHost.sh('mkdir -p /srv/export/dataset && echo old >/srv/export/dataset/f');
  await nfs.create('stale', {
    server: serverAddress,
    export: '/',
    version: '4.2',
    subdir: 'dataset',
    ...unhurried,
  });
  const path = await nfs.mount('stale', 'x');
  assert.is(await client.sh(`cat ${path}/f`), 'old');
  await serverHost.sh('rm -rf /srv/export/dataset; mkdir /srv/export/dataset; echo new >/srv/export/dataset/f');
  await eventually('the handle is stale', async () => (await client.sh(`stat ${path} 2>&1 || true`)).includes('tale'));
  const again = await nfs.mount('stale', 'y');
  assert.is(await client.sh(`cat ${again}/f`), 'new');
  assert.match(String((await nfs.status('stale'))['note']), /stale/);
  await nfs.unmount('stale', 'x');
  await nfs.unmount('stale', 'y');
  await nfs.remove('stale');
});

nfsTest(
  'a server that moved to another address is found by its name, also while a container has the old mount',
  async () => {
    const { nfs, serverHost, client } = bench;
    const options = {
      server: 'files.example.org',
      export: '/srv/export',
      version: '3',
      nolock: '',
      ...unhurried,
    };
    await nfs.create('moving', options);
    await nfs.mount('moving', 'x');
    assert.is((await nfs.status('moving'))['server'], serverAddress);
    await serverHost.sh(`ip addr del ${serverAddress}/24 dev eth0; ip addr add ${movedAddress}/24 dev eth0`);
    await client.sh(
      `sed 's/${serverAddress} files/${movedAddress} files/' /etc/hosts >/run/hosts; cat /run/hosts >/etc/hosts`,
    );
    try {
      await nfs.mount('moving', 'y');
      const status = await nfs.status('moving');
      assert.is(status['server'], movedAddress);
      assert.match(String(status['note']), /does not answer/);
      await nfs.unmount('moving', 'x');
      await nfs.unmount('moving', 'y');
      await nfs.remove('moving');
    } finally {
      await serverHost.sh(`ip addr add ${serverAddress}/24 dev eth0`);
    }
  },
);

nfsTest('several servers: the first that answers is taken', async () => {
  const { nfs } = bench;
  await nfs.create('pair', { server: `192.0.2.77,${serverAddress}`, export: '/', version: '4.2', ...unhurried });
  await nfs.mount('pair', 'x');
  assert.is((await nfs.status('pair'))['server'], serverAddress);
  await nfs.unmount('pair', 'x');
  await nfs.remove('pair');
});

nfsTest('an export that is not there', async () => {
  const { nfs } = bench;
  await nfs.create('nowhere', { server: serverAddress, export: '/no/such', version: '4.2', ...unhurried });
  assert.match((await nfs.call('Mount', { Name: 'nowhere', ID: 'x' })).Err ?? '', /VOL_MOUNT_FAILED/);
  await nfs.remove('nowhere');
});

nfsTest(
  'kill -9 of the daemon while mounted: the mount stays, the hold stays, and everything goes at the end',
  async () => {
    const { nfs, volumes, client } = bench;
    await nfs.create('survivor', { server: serverAddress, export: '/', version: '4.2', ...unhurried });
    const path = await nfs.mount('survivor', 'x');
    await volumes.kill();
    await client.sh(`echo still >${path}/still`);
    await volumes.start();
    assert.is((await nfs.get('survivor')).Mountpoint, path);
    assert.match((await nfs.call('Remove', { Name: 'survivor' })).Err ?? '', /VOL_IN_USE/);
    await nfs.unmount('survivor', 'x');
    await nfs.remove('survivor');
    assert.is(await mounts(), '');
  },
);

nfsTest('an export that is withdrawn while mounted: errors, nothing hangs, and it comes back', async () => {
  const { nfs, server, client } = bench;
  await nfs.create('withdrawn', { server: serverAddress, export: '/', version: '4.2', ...unhurried });
  const path = await nfs.mount('withdrawn', 'x');
  await server.setExports([]);
  await eventually(
    'the server refuses',
    async () => /denied|tale|not permitted|No such/.test(await client.sh(`stat ${path}/any 2>&1 || true`)),
    { timeoutMs: 60_000 },
  );
  await answered('List', nfs.names());
  await answered('Unmount', nfs.unmount('withdrawn', 'x'));
  await server.setExports([`${server.folder} *(${exportAll},fsid=0)`]);
  await nfs.mount('withdrawn', 'y');
  await nfs.unmount('withdrawn', 'y');
  await nfs.remove('withdrawn');
});

nfsTest('boot while the server is down: mounted in the background as soon as it is up', async () => {
  const { nfs, volumes, server, client } = bench;
  await nfs.create('boot', { server: serverAddress, export: '/', version: '4.2' });
  await mountAtLast('boot', 'x');
  await volumes.kill();
  // What a reboot does to mounts.
  await client.sh(`awk '$5 ~ "/mounts/" { print $5 }' /proc/self/mountinfo | sort -r | xargs umount`);
  await server.stop();
  await volumes.start({ bootId: 'another' });
  await eventually('it is tried', async () => (await nfs.status('boot'))['health'] === 'retrying');
  assert.equal((await nfs.status('boot'))['holders'], []);
  await server.start();
  await eventually('it is mounted', async () => (await nfs.status('boot'))['health'] === 'mounted', {
    timeoutMs: 60_000,
  });
  assert.match(await mounts(), /boot\/root/);
  await nfs.remove('boot');
  assert.is(await mounts(), '');
});

nfsTest.run();
