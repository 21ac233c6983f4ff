/** No verb of a volume driver deletes, shows or changes what is not the volume's, whatever it is given and whatever lies in it. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { testVolumePlugin } from '../../plugins/sdk/contract/volume.ts';
import { eventually } from '../support/deadline.ts';
import { requires } from '../support/requires.ts';
import type { VolumeClient, VolumeReply } from '../support/volume-client.ts';
import { createVolumeHost, type VolumeHost } from '../support/volume-host.ts';

requires('root');

const safetyTest = suite('volume-safety');
let volumes: VolumeHost;

safetyTest.before(async () => {
  volumes = await createVolumeHost({ staleAfter: '1s' });
  await volumes.host.sh('mkdir -p /run/outside && echo precious >/run/outside/f');
});

safetyTest.after(async () => {
  await volumes?.close();
});

async function refusal(reply: Promise<VolumeReply>): Promise<string> {
  const { Err } = await reply;
  assert.ok(Err !== undefined && Err !== '', 'it is refused');
  return Err ?? '';
}

async function outsideIsWell(): Promise<void> {
  assert.is(await volumes.host.sh('cat /run/outside/f'), 'precious');
}

async function gone(name: string): Promise<void> {
  await eventually(`the data of ${name} is deleted`, async () => !(await volumes.leftovers()).includes('trash'));
}

for (const driver of ['cleat-local', 'cleat-tmpfs'] as const) {
  safetyTest(`${driver} passes the contract suite for volume plugins`, async () => {
    const socket = volumes.host.path(`/run/docker/plugins/${driver}.sock`);
    const report = await testVolumePlugin({ socket, visible: false, volatile: driver === 'cleat-tmpfs' });
    const failures = report.results.filter(({ outcome }) => outcome === 'failed');
    assert.equal(failures, []);
    assert.ok(report.results.length > 10);
  });
}

safetyTest('remove follows no link, whatever the names are', async () => {
  const { local, host } = volumes;
  await local.create('links');
  const path = await local.mount('links', 'a');
  await host.sh(`cd ${path}; ln -s /run/outside dir; ln -s /run/outside/f file; mkdir deep; ln -s ../../../../../../../run/outside deep/up
    printf x >"$(printf '\\377\\376')"; printf x >"$(printf 'new\\nline')"; printf x >'-rf'; mkdir " "; mkfifo pipe; mknod dev c 1 3`);
  await local.unmount('links', 'a');
  await local.remove('links');
  await gone('links');
  await outsideIsWell();
});

safetyTest('a tree deeper than one descriptor a level is deleted', async () => {
  const { local, host } = volumes;
  await local.create('deep');
  const path = await local.mount('deep', 'a');
  await host.sh(`cd ${path}; for i in $(seq 400); do mkdir d; cd d; done; touch end`);
  await local.unmount('deep', 'a');
  await local.remove('deep');
  await gone('deep');
});

safetyTest('something mounted inside a volume is never deleted through', async () => {
  const { local, host } = volumes;
  await local.create('inner');
  const path = await local.mount('inner', 'a');
  // On the same file system, so that the device number does not tell.
  const inside = `${volumes.stateDir}/precious`;
  await host.sh(`mkdir ${inside} ${path}/sub; echo kept >${inside}/f; mount --bind ${inside} ${path}/sub`);
  await local.unmount('inner', 'a');
  assert.match(await refusal(local.call('Remove', { Name: 'inner' })), /VOL_IN_USE/);
  assert.equal((await local.names()).includes('inner'), true);
  await host.sh(`umount ${path}/sub`);
  await local.remove('inner');
  await gone('inner');
  assert.is(await host.sh(`cat ${inside}/f; rm -r ${inside}`), 'kept');
});

safetyTest('a container that the records do not know keeps its volume', async () => {
  const { local, host } = volumes;
  await local.create('used');
  const path = await local.mount('used', 'a');
  const holder = host.start('unshare', [
    '--mount',
    'bash',
    '-c',
    `mkdir -p /run/m; mount --bind ${path} /run/m; echo bound; exec sleep 600`,
  ]);
  await eventually('it is bound', () => holder.output().includes('bound'));
  await local.unmount('used', 'a');
  const text = await refusal(local.call('Remove', { Name: 'used' }));
  assert.match(text, /in use by process \d+ \(sleep\) at \/run\/m/);
  await holder.kill();
  await local.remove('used');
});

safetyTest('a sub-folder that leads out is refused', async () => {
  const { local, host } = volumes;
  await host.sh('mkdir -p /run/base && ln -sfn /run/outside /run/base/link');
  await local.create('escape', { device: '/run/base', subdir: 'link' });
  assert.match(await refusal(local.call('Mount', { Name: 'escape', ID: 'a' })), /VOL_DEVICE/);
  await local.create('escape2', { device: '/run/base', subdir: 'link/deeper' });
  assert.match(await refusal(local.call('Mount', { Name: 'escape2', ID: 'a' })), /VOL_DEVICE/);
  assert.is(await host.sh('ls /run/outside'), 'f');
  for (const subdir of ['../outside', 'a/../../x', '/', '.', 'a\0b']) {
    assert.match(
      await refusal(local.call('Create', { Name: 'escape3', Opts: { device: '/run/base', subdir } })),
      /PROTO_OPTION/,
    );
  }
  await local.remove('escape');
  await local.remove('escape2');
});

safetyTest(
  'removing a bind volume leaves the folder of the machine alone; a sub-folder is made with its owner',
  async () => {
    const { local, host } = volumes;
    await local.create('bound', { device: '/run/outside', subdir: 'made/here', uid: '12', gid: '34', mode: '0710' });
    const path = await local.mount('bound', 'a');
    await host.sh(`echo through >${path}/g`);
    assert.is(
      await host.sh('stat -c "%u %g %a" /run/outside/made /run/outside/made/here; cat /run/outside/made/here/g'),
      '12 34 710\n12 34 710\nthrough',
    );
    await local.unmount('bound', 'a');
    await local.remove('bound');
    await outsideIsWell();
    assert.is(await host.sh('cat /run/outside/made/here/g'), 'through');
    assert.equal(await volumes.mounts(), []);
  },
);

safetyTest('a missing device is an error, and made on request', async () => {
  const { local, host } = volumes;
  await local.create('missing', { device: '/run/not-there' });
  assert.match(await refusal(local.call('Mount', { Name: 'missing', ID: 'a' })), /VOL_MOUNT_FAILED.*|VOL_DEVICE/);
  await local.remove('missing');
  await local.create('missing', { device: '/run/not-there', create: '' });
  await local.mount('missing', 'a');
  assert.is(await host.sh('ls -d /run/not-there'), '/run/not-there');
  await local.unmount('missing', 'a');
  await local.remove('missing');
});

safetyTest('read-only backing', async () => {
  const { local, host } = volumes;
  await local.create('ro', { ro: 'true' });
  const path = await local.mount('ro', 'a');
  assert.match(await host.sh(`touch ${path}/x 2>&1 || true`), /Read-only/);
  await local.unmount('ro', 'a');
  await local.remove('ro');
  assert.equal(await volumes.mounts(), []);
});

safetyTest('other options: refused with the difference, or applied while nobody holds it', async () => {
  const { local, host } = volumes;
  await local.create('drift', { size: '16m' });
  await local.create('drift', { size: '16m' });
  assert.match(
    await refusal(local.call('Create', { Name: 'drift', Opts: { size: '32m' } })),
    /size was "16m" and is "32m".*VOL_OPTIONS_DIFFER/,
  );
  const path = await local.mount('drift', 'a');
  await host.sh(`echo kept >${path}/f`);
  const changed = { Name: 'drift', Opts: { size: '32m', 'on-change': 'update' } };
  assert.match(await refusal(local.call('Create', changed)), /VOL_IN_USE/);
  await local.unmount('drift', 'a');
  assert.is((await local.call('Create', changed)).Err, undefined);
  const again = await local.mount('drift', 'a');
  assert.is(await host.sh(`cat ${again}/f`), 'kept');
  assert.ok(
    Number(await host.sh(`stat -f -c '%b * %S' ${again} | sed 's/ //g' | xargs -I{} sh -c 'echo $(({}))'`)) >
      24 * 2 ** 20,
  );
  await local.unmount('drift', 'a');
  assert.match(
    await refusal(local.call('Create', { Name: 'drift', Opts: { size: '16m', 'on-change': 'update' } })),
    /nothing shrinks/,
  );
  await local.remove('drift');
});

safetyTest('size and inode limits hold', async () => {
  const { local, host } = volumes;
  await local.create('limits', { size: '16m', inodes: '64' });
  const path = await local.mount('limits', 'a');
  const output = await host.sh(
    `cd ${path}; for i in $(seq 200); do : >f$i || break; done 2>&1; ls | wc -l; rm f*; dd if=/dev/zero of=big bs=1M count=64 2>&1 || true; du -m big | cut -f1`,
  );
  assert.match(output, /No space left on device[\s\S]*No space left on device/);
  const lines = output.split('\n');
  assert.ok(Number(lines.find((line) => /^\d+$/.test(line))) <= 80, output);
  assert.ok(Number(lines.at(-1)) <= 16, output);
  const { used, limit } = (await local.status('limits')) as {
    used: { bytes: number; inodes: number };
    limit: { bytes: number; inodes: number };
  };
  assert.ok(
    used.bytes > 12 * 2 ** 20 && limit.bytes <= 16 * 2 ** 20 && limit.inodes <= 96,
    JSON.stringify({ used, limit }),
  );
  await local.unmount('limits', 'a');
  await local.remove('limits');
});

safetyTest('the disk of the state folder is full: errors, no damage, and it works again', async () => {
  const { local, host } = volumes;
  await local.create('before');
  await local.mount('before', 'a');
  const full = await createVolumeHost();
  try {
    await full.kill();
    await full.host.sh(`mount -t tmpfs -o size=8m tmpfs ${full.stateDir}`);
    await full.start();
    await full.local.create('small');
    const path = await full.local.mount('small', 'a');
    await full.host.sh(`echo kept >${path}/f; dd if=/dev/zero of=${path}/big bs=64k 2>/dev/null || true`);
    const reply = await full.local.call('Create', { Name: 'more', Opts: { size: '4m', preallocate: '' } });
    assert.match(reply.Err ?? '', /VOL_QUOTA|STORE_FULL/);
    assert.not((await full.local.names()).includes('more'));
    await full.local.call('Unmount', { Name: 'small', ID: 'a' });
    await full.kill();
    await full.start();
    assert.is(await full.host.sh(`cat ${path}/f; rm ${path}/big`), 'kept');
    await full.local.create('more', { size: '4m' });
    await full.local.remove('more');
  } finally {
    await full.close();
  }
  await local.unmount('before', 'a');
  await local.remove('before');
  assert.ok(await host.sh('true').then(() => true));
});

safetyTest('tmpfs: kept for a time, then gone; usage in Status', async () => {
  const { tmpfs, host } = volumes;
  await tmpfs.create('short', { size: '1m', keep: '300ms', nr_inodes: '50' });
  const path = await tmpfs.mount('short', 'a');
  await host.sh(`dd if=/dev/zero of=${path}/f bs=1k count=512 2>/dev/null`);
  const { used, limit } = (await tmpfs.status('short')) as {
    used: { bytes: number };
    limit: { bytes: number; inodes: number };
  };
  assert.is(used.bytes, 512 * 1024);
  assert.equal([limit.bytes, limit.inodes], [2 ** 20, 50]);
  await tmpfs.unmount('short', 'a');
  assert.is((await volumes.mounts()).length, 1);
  await tmpfs.mount('short', 'b');
  assert.is(await host.sh(`ls ${path}`), 'f', 'taken up again in time');
  await tmpfs.unmount('short', 'b');
  await eventually('it is gone', async () => (await volumes.mounts()).length === 0);
  await tmpfs.remove('short');
});

safetyTest("Podman's one ID for everything is held once", async () => {
  const { local } = volumes;
  const podman = '2f73349cfc4630255319c6c8dfc1b46a8996ace9d14d8e07563b165915918ec2';
  await local.create('pod');
  await local.activate('podman');
  await local.mount('pod', podman);
  await local.mount('pod', podman);
  await local.unmount('pod', podman);
  assert.equal((await local.status('pod'))['holders'], []);
  await local.remove('pod');
});

safetyTest('credentials come from a file at each mount and are shown nowhere', async () => {
  const { local, host } = volumes;
  await host.sh(
    'umask 077; printf "username=me\\npassword=hunter2\\n" >/run/cred; cp /run/cred /run/open; chmod 644 /run/open; echo x=1 >/run/none',
  );
  for (const [file, code] of [
    ['open', 'VOL_CREDENTIALS'],
    ['none', 'VOL_CREDENTIALS'],
    ['missing', 'VOL_CREDENTIALS'],
    ['cred', 'VOL_MOUNT_FAILED'],
  ] as const) {
    // A tmpfs knows no user name, so the kernel refuses what it is given: it has been given it.
    await local.create('secret', { type: 'tmpfs', device: 'tmpfs', credentials: `/run/${file}` });
    const text = await refusal(local.call('Mount', { Name: 'secret', ID: 'a' }));
    assert.match(text, new RegExp(code), file);
    assert.not(`${text}${JSON.stringify(await local.get('secret'))}${volumes.log()}`.includes('hunter2'));
    await local.remove('secret');
  }
  await host.sh(`! grep -aq hunter2 ${volumes.stateDir}/volumed.db*`);
  await host.sh('! ls -d /run/cleat/mount-*');
});

safetyTest('hostile names and options on every verb', async () => {
  const { local, tmpfs, nfs } = volumes;
  const names = [
    '',
    '.',
    '..',
    '../x',
    '../../../../etc',
    '/etc',
    'a/b',
    'a\0b',
    'a\nb',
    ' a',
    'é',
    '-rf',
    '--',
    'x'.repeat(300),
    '$(id)',
    '`id`',
    '__proto__',
    'constructor',
  ];
  const clients: readonly VolumeClient[] = [local, tmpfs, nfs];
  for (const client of clients) {
    for (const Name of names) {
      for (const method of ['Create', 'Mount', 'Path']) {
        if (Name === '__proto__' || Name === 'constructor') continue;
        assert.ok((await client.call(method, { Name, ID: 'a', Opts: {} })).Err, `${method} ${JSON.stringify(Name)}`);
      }
      await client.call('Remove', { Name });
      await client.call('Unmount', { Name, ID: '../../x' });
      assert.ok((await client.call('Get', { Name })).Err);
    }
    for (const body of [
      '',
      '{',
      '[]',
      'null',
      '"x"',
      '{"Name":{}}',
      '{"Name":["a"]}',
      '{"Name":"ok","Opts":[1]}',
      '{"Name":"ok","Opts":{"a":{}}}',
    ]) {
      for (const method of body.includes('Opts')
        ? ['Create']
        : ['Create', 'Get', 'Mount', 'Unmount', 'Remove', 'Path']) {
        assert.ok((await client.call(method, body)).Err, `${method} ${body}`);
      }
    }
    const values = [
      '',
      '\0',
      '../..',
      '-1',
      '1e99',
      'x'.repeat(70_000),
      '$(id)',
      'a,b="c',
      '%s%n',
      '18446744073709551616',
      '0x10',
    ];
    for (const key of [
      'size',
      'inodes',
      'uid',
      'mode',
      'o',
      'type',
      'device',
      'subdir',
      'server',
      'export',
      'keep',
      '__proto__',
      'label.',
      'x'.repeat(5000),
    ]) {
      for (const value of values) {
        const { Err } = await client.call('Create', { Name: 'fuzz', Opts: { [key]: value } });
        if (Err !== undefined) continue;
        await client.call('Mount', { Name: 'fuzz', ID: 'a' });
        await client.call('Unmount', { Name: 'fuzz', ID: 'a' });
        await client.remove('fuzz');
      }
    }
  }
  assert.ok(volumes.running());
  for (const client of clients) assert.equal(await client.names(), []);
  assert.not(volumes.log().includes('PROTO_INTERNAL'), 'no defect was met');
  assert.equal(await volumes.mounts(), []);
  await outsideIsWell();
});

safetyTest.run();
