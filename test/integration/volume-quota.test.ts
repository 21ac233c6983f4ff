/** Limits by project quota, on a file system that has it: the volume stays a plain folder, and the kernel counts. */
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { requiresOrGuest } from '../support/guest.ts';
import { createVolumeHost, type VolumeHost } from '../support/volume-host.ts';

await requiresOrGuest(fileURLToPath(import.meta.url), 'root', 'prjquota');

const quotaTest = suite('volume-quota');
let volumes: VolumeHost;

quotaTest.before(async () => {
  volumes = await createVolumeHost();
  await volumes.kill();
  await volumes.host.sh(`modprobe -qa loop quota_v2 || true
    truncate -s 300M ${volumes.host.dir}/disk
    mkfs.ext4 -q -O quota,project -E quotatype=prjquota ${volumes.host.dir}/disk
    mount -o loop,prjquota ${volumes.host.dir}/disk ${volumes.stateDir}`);
  await volumes.start();
});

quotaTest.after(async () => {
  await volumes?.kill();
  await volumes?.host.sh(`umount ${volumes.stateDir}`);
  await volumes?.close();
});

quotaTest('bytes and inodes are limited, used ones are in Status, and nothing is mounted', async () => {
  const { local, host } = volumes;
  await local.create('limited', { size: '8m', inodes: '20', uid: '1000' });
  const path = await local.mount('limited', 'a');
  assert.match(path, /\/volumes\/cleat-local\/limited\/_data$/);
  // Not as root: CAP_SYS_RESOURCE, which containers do not have, is above quota.
  const script =
    'dd if=/dev/zero of=big bs=1M count=32 2>&1; stat -c %s big; rm big; for i in $(seq 40); do touch f$i; done 2>&1; ls | wc -l';
  const output = await host.sh(`cd ${path}; setpriv --reuid 1000 --clear-groups sh -c '${script}'`);
  assert.match(output, /Disk quota exceeded/);
  const sizes = output
    .split('\n')
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
  assert.ok((sizes[0] ?? 0) <= 8 * 2 ** 20 && (sizes[0] ?? 0) > 7 * 2 ** 20, output);
  assert.is(sizes[1], 20, output);
  const status = (await local.status('limited')) as {
    used: { inodes: number };
    limit: { bytes: number; inodes: number };
  };
  assert.equal([status.used.inodes, status.limit.bytes, status.limit.inodes], [21, 8 * 2 ** 20, 21]);
  await local.unmount('limited', 'a');
});

quotaTest('limits change in place', async () => {
  const { local, host } = volumes;
  const reply = await local.call('Create', {
    Name: 'limited',
    Opts: { size: '16m', uid: '1000', 'on-change': 'update' },
  });
  assert.is(reply.Err, undefined);
  const path = await local.mount('limited', 'a');
  await host.sh(
    `rm -f ${path}/*; dd if=/dev/zero of=${path}/big bs=1M count=12 2>/dev/null; for i in $(seq 40); do : >${path}/f$i; done`,
  );
  await local.unmount('limited', 'a');
  await local.remove('limited');
});

quotaTest('a neighbour is not affected', async () => {
  const { local, host } = volumes;
  await local.create('one', { size: '4m' });
  await local.create('two', { size: '4m' });
  const [one, two] = [await local.mount('one', 'a'), await local.mount('two', 'a')];
  await host.sh(
    `dd if=/dev/zero of=${one}/big bs=1M count=8 2>/dev/null || true; dd if=/dev/zero of=${two}/big bs=1M count=3 2>/dev/null`,
  );
  for (const name of ['one', 'two']) {
    await local.unmount(name, 'a');
    await local.remove(name);
  }
});

quotaTest('an image is used when it is asked for', async () => {
  const { local } = volumes;
  await local.create('image', { size: '16m', quota: 'image' });
  assert.match(await local.mount('image', 'a'), /\/device\/_data$/);
  await local.unmount('image', 'a');
  await local.remove('image');
});

quotaTest.run();
