/** Our volume drivers under real Docker engines: whatever works with the built-in driver works the same, and stays right. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, engineVersions, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root', 'engine-20.10', 'engine-28');

interface Setup {
  readonly host: Host;
  readonly volumed: Daemon;
  readonly engine: Engine;
}

for (const version of engineVersions) {
  const dockerTest = suite(`volume-docker-${version}`);
  let setup: Setup;

  dockerTest.before(async () => {
    const host = await createHost({ name: 'volumes' });
    const volumed = await startDaemon('volumed', host, { config: { staleAfter: '1s' } });
    const engine = await startEngine({ version, host });
    setup = { host, volumed, engine };
  });

  dockerTest.after(async () => {
    await setup?.engine.close();
    await setup?.host.close();
  });

  const docker = async (...args: readonly string[]): Promise<string> => await setup.engine.docker(...args);
  /** Runs a line of shell in a container of its own. */
  const sh = async (mounts: readonly string[], script: string): Promise<string> =>
    await docker('run', '--rm', '--network', 'none', ...mounts, 'busybox', 'sh', '-c', script);
  const refused = async (...args: readonly string[]): Promise<string> => {
    try {
      await docker(...args);
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error(`docker ${args.join(' ')} succeeded`);
  };
  const inspect = async (name: string): Promise<Record<string, unknown>> =>
    (JSON.parse(await docker('volume', 'inspect', name)) as Record<string, unknown>[])[0] ?? {};
  const holders = async (name: string): Promise<number> =>
    ((await inspect(name)) as { Status: { holders: unknown[] } }).Status.holders.length;
  const mountsOfOurs = async (): Promise<string> =>
    await setup.host.sh(`grep ' ${setup.volumed.stateDir}/mounts/' /proc/self/mountinfo || true`);

  /** The same script with the built-in driver and with ours: the outputs must be equal. */
  const likeLocal = (what: string, script: (driver: string, name: string) => Promise<string>): void => {
    dockerTest(`like the built-in driver: ${what}`, async () => {
      const [ours, builtIn] = await Promise.all([script('cleat-local', 'ours'), script('local', 'builtin')]);
      assert.is(ours, builtIn);
    });
  };

  likeLocal('create, list, inspect, remove', async (driver, name) => {
    const created = await docker('volume', 'create', '-d', driver, '--label', 'a=b', name);
    const listed = await docker('volume', 'ls', '-q', '-f', `name=${name}`);
    const { Labels, Scope, Options } = await inspect(name);
    const removed = await docker('volume', 'rm', name);
    return JSON.stringify([created, listed, removed, Labels, Scope, Options]).replaceAll(name, 'NAME');
  });

  likeLocal('data is kept from container to container', async (driver, name) => {
    await docker('volume', 'create', '-d', driver, name);
    await sh(['-v', `${name}:/d`], 'echo kept >/d/f; mkdir /d/sub; ln -s f /d/l; chown 7:8 /d/sub');
    const seen = await sh(['-v', `${name}:/d`], 'cat /d/l; stat -c "%u %g %a %n" /d /d/sub');
    await docker('volume', 'rm', name);
    return seen;
  });

  likeLocal('copy-up of what the image has, and no copy on request', async (driver, name) => {
    const copied = await sh(['--mount', `type=volume,src=${name},dst=/etc,volume-driver=${driver}`], 'ls /etc | sort');
    const not = await sh(
      ['--mount', `type=volume,src=${name}2,dst=/bin2/etc,volume-nocopy=true,volume-driver=${driver}`],
      'ls /bin2/etc',
    );
    await docker('volume', 'rm', name, `${name}2`);
    return `${copied}|${not}`;
  });

  likeLocal('read-only', async (driver, name) => {
    await docker('volume', 'create', '-d', driver, name);
    const output = await sh(['-v', `${name}:/d:ro`], 'touch /d/x 2>&1; ls /d');
    await docker('volume', 'rm', name);
    return output;
  });

  likeLocal('docker cp with a stopped and with a running container', async (driver, name) => {
    await docker('volume', 'create', '-d', driver, name);
    await docker(
      'run',
      '-d',
      '--network',
      'none',
      '--name',
      `c-${name}`,
      '-v',
      `${name}:/d`,
      'busybox',
      'sleep',
      '600',
    );
    await docker('exec', `c-${name}`, 'sh', '-c', 'echo one >/d/f');
    const file = `${setup.host.dir}/from-${name}`;
    await docker('cp', `c-${name}:/d/f`, file);
    await docker('cp', file, `c-${name}:/d/g`);
    const running = await docker('exec', `c-${name}`, 'sh', '-c', 'cat /d/f /d/g; touch /d/still-writable && ls /d');
    const refusal = (await refused('volume', 'rm', name)).includes('in use');
    await docker('stop', '-t', '0', `c-${name}`);
    await docker('cp', file, `c-${name}:/d/h`);
    await docker('rm', `c-${name}`);
    const after = await sh(['-v', `${name}:/d`], 'ls /d');
    await docker('volume', 'rm', name);
    return `${running}|${refusal}|${after}`;
  });

  likeLocal('--volumes-from and two containers at once', async (driver, name) => {
    await docker('volume', 'create', '-d', driver, name);
    await docker(
      'run',
      '-d',
      '--network',
      'none',
      '--name',
      `c-${name}`,
      '-v',
      `${name}:/d`,
      'busybox',
      'sleep',
      '600',
    );
    await sh(['--volumes-from', `c-${name}`], 'echo shared >/d/f');
    const seen = await docker('exec', `c-${name}`, 'cat', '/d/f');
    await docker('rm', '-f', `c-${name}`);
    await docker('volume', 'rm', name);
    return seen;
  });

  likeLocal('anonymous volumes go with --rm', async (driver) => {
    const list = (): Promise<string> => docker('volume', 'ls', '-q', '-f', `driver=${driver}`);
    const before = await list();
    const output = await docker(
      'run',
      '--rm',
      '--network',
      'none',
      '--volume-driver',
      driver,
      '-v',
      '/anon',
      'busybox',
      'sh',
      '-c',
      'touch /anon/x; ls /anon',
    );
    return `${output} ${(await list()) === before}`;
  });

  likeLocal('type, o and device: a bind mount and a tmpfs', async (driver, name) => {
    const folder = `/run/bound-${name}`;
    await setup.host.sh(`mkdir -p ${folder} && echo host >${folder}/f`);
    await docker('volume', 'create', '-d', driver, '-o', 'type=none', '-o', 'o=bind', '-o', `device=${folder}`, name);
    const bound = await sh(['-v', `${name}:/d`], 'cat /d/f; echo container >/d/g');
    const onHost = await setup.host.sh(`cat ${folder}/g`);
    await docker(
      'volume',
      'create',
      '-d',
      driver,
      '-o',
      'type=tmpfs',
      '-o',
      'o=size=1m,uid=1000',
      '-o',
      'device=tmpfs',
      `${name}-t`,
    );
    const memory = await sh(
      ['-v', `${name}-t:/d`],
      'stat -c "%u %a" /d; df -P /d | tail -1 | awk "{print \\$1, \\$2}"',
    );
    const missing = /missing required option: "?device/.test(
      await refused('volume', 'create', '-d', driver, '-o', 'type=tmpfs', `${name}-m`),
    );
    await docker('volume', 'rm', name, `${name}-t`);
    return [bound, onHost, memory, missing].join('|');
  });

  if (version === '28') {
    likeLocal('sub-path', async (driver, name) => {
      await docker('volume', 'create', '-d', driver, name);
      await sh(['-v', `${name}:/d`], 'mkdir -p /d/a/b; echo deep >/d/a/b/f');
      const deep = await sh(['--mount', `type=volume,src=${name},dst=/s,volume-subpath=a/b`], 'cat /s/f');
      await docker('volume', 'rm', name);
      return deep;
    });
  }

  dockerTest('a size limit holds, on an image of its own, and copy-up works in it', async () => {
    await docker(
      'volume',
      'create',
      '-d',
      'cleat-local',
      '-o',
      'size=16m',
      '-o',
      'uid=1000',
      '-o',
      'mode=0770',
      'small',
    );
    const files = await sh(['-v', 'small:/etc'], 'ls /etc | wc -l; stat -c "%u %a" /etc');
    assert.match(files, /^[1-9]\d*\n1000 770$/);
    const full = await sh(
      ['-v', 'small:/d'],
      'dd if=/dev/zero of=/d/big bs=1M count=64 2>&1; ls -l /d/big | awk "{print \\$5}"',
    );
    assert.match(full, /No space left on device/);
    assert.ok(Number(full.split('\n').at(-1)) < 16 * 2 ** 20);
    const { Status } = (await inspect('small')) as { Status: { used?: { bytes: number }; limit?: { bytes: number } } };
    assert.ok((Status.limit?.bytes ?? 0) <= 16 * 2 ** 20);
    await docker('volume', 'rm', 'small');
    assert.is(await mountsOfOurs(), '');
    assert.is(await setup.host.sh(`losetup -a | grep ${setup.host.dir}/ || true`), '', 'no loop device is left');
  });

  dockerTest('tmpfs: shared by its holders, kept when asked, gone otherwise', async () => {
    await docker('volume', 'create', '-d', 'cleat-tmpfs', '-o', 'size=4m', '-o', 'noexec', '-o', 'uid=3', 'mem');
    await docker('run', '-d', '--network', 'none', '--name', 'm1', '-v', 'mem:/d', 'busybox', 'sleep', '600');
    await sh(['-v', 'mem:/d'], 'echo shared >/d/f');
    assert.is(await docker('exec', 'm1', 'cat', '/d/f'), 'shared');
    assert.match(await docker('exec', 'm1', 'grep', ' /d ', '/proc/mounts'), /noexec.*size=4096k.*uid=3/);
    await docker('rm', '-f', 'm1');
    assert.is(await sh(['-v', 'mem:/d'], 'ls /d'), '');
    await docker('volume', 'rm', 'mem');
    await docker('volume', 'create', '-d', 'cleat-tmpfs', '-o', 'keep=always', 'kept');
    await sh(['-v', 'kept:/d'], 'echo here >/d/f');
    await setup.volumed.kill();
    await setup.volumed.start();
    assert.is(await sh(['-v', 'kept:/d'], 'cat /d/f'), 'here');
    await docker('volume', 'rm', 'kept');
    assert.is(await mountsOfOurs(), '');
  });

  dockerTest('names and options that are wrong are refused with the reason', async () => {
    for (const name of ['../../evil', 'a/b', 'x', '.hidden', 'ü', `n${'o'.repeat(300)}`]) {
      assert.match(await refused('volume', 'create', '-d', 'cleat-local', name), /VOL_NAME/, name);
    }
    assert.match(
      await refused('volume', 'create', '-d', 'cleat-local', '-o', 'sise=1g', 'typo'),
      /did you mean "size"/,
    );
    assert.match(await refused('volume', 'create', '-d', 'cleat-nfs', '-o', 'export=/x', 'noserver'), /server/);
    assert.not((await docker('volume', 'ls', '-q')).includes('evil'));
  });

  dockerTest('secrets are masked in Status', async () => {
    const options = ['-o', 'type=cifs', '-o', 'device=//127.0.0.1/share', '-o', 'o=username=me,password=hunter2'];
    await docker('volume', 'create', '-d', 'cleat-local', ...options, 'share');
    const { Status } = await inspect('share');
    assert.not(JSON.stringify(Status).includes('hunter2'));
    assert.match(await refused('run', '--rm', '-v', 'share:/d', 'busybox', 'true'), /VOL_MOUNT_FAILED/);
    assert.not(setup.volumed.log().includes('hunter2'), 'nor in the log');
    await docker('volume', 'rm', 'share');
  });

  dockerTest('the engine is killed and started: held once, released once', async () => {
    await docker('volume', 'create', '-d', 'cleat-local', '-o', 'size=16m', 'engine-kill');
    await docker('run', '-d', '--network', 'none', '--name', 'ek', '-v', 'engine-kill:/d', 'busybox', 'sleep', '600');
    await docker('exec', 'ek', 'sh', '-c', 'echo before >/d/f');
    await setup.engine.kill();
    await setup.engine.start();
    await docker('start', 'ek');
    assert.is(await holders('engine-kill'), 1);
    assert.is(await docker('exec', 'ek', 'cat', '/d/f'), 'before');
    await docker('stop', '-t', '0', 'ek');
    await eventually('nobody holds it', async () => (await holders('engine-kill')) === 0);
    await eventually('nothing is mounted', async () => (await mountsOfOurs()) === '');
    await docker('rm', 'ek');
    await docker('volume', 'rm', 'engine-kill');
  });

  dockerTest('the engine is killed and the container never started again: the hold ends by itself', async () => {
    await docker('volume', 'create', '-d', 'cleat-local', 'orphan');
    await docker('run', '-d', '--network', 'none', '--name', 'or', '-v', 'orphan:/d', 'busybox', 'sleep', '600');
    await setup.engine.kill();
    await setup.engine.start();
    await docker('rm', '-f', 'or');
    await eventually('the old hold is dropped', async () => (await holders('orphan')) === 0);
    await docker('volume', 'rm', 'orphan');
  });

  dockerTest('live-restore: a running container never loses its volume, also over docker cp', async () => {
    await setup.engine.stop();
    await setup.engine.start({ liveRestore: true });
    await docker('volume', 'create', '-d', 'cleat-local', '-o', 'size=16m', 'live');
    await docker('run', '-d', '--network', 'none', '--name', 'lr', '-v', 'live:/d', 'busybox', 'sleep', '600');
    await setup.engine.kill();
    await setup.engine.start({ liveRestore: true });
    await docker('exec', 'lr', 'sh', '-c', 'echo alive >/d/f');
    await docker('cp', 'lr:/d/f', `${setup.host.dir}/from-live`);
    assert.is(await holders('live'), 1, 'the release by docker cp is not believed');
    assert.is(await docker('exec', 'lr', 'cat', '/d/f'), 'alive');
    assert.match(await refused('volume', 'rm', 'live'), /in use/);
    await docker('rm', '-f', 'lr');
    await eventually('nobody holds it', async () => (await holders('live')) === 0);
    await eventually('nothing is mounted', async () => (await mountsOfOurs()) === '');
    await docker('volume', 'rm', 'live');
    await setup.engine.stop();
    await setup.engine.start();
  });

  dockerTest('the daemon is killed while containers run and stop', async () => {
    await docker('volume', 'create', '-d', 'cleat-local', '-o', 'size=16m', 'vk');
    await docker('run', '-d', '--network', 'none', '--name', 'k1', '-v', 'vk:/d', 'busybox', 'sleep', '600');
    await setup.volumed.kill();
    await docker('exec', 'k1', 'sh', '-c', 'echo on >/d/f');
    await setup.volumed.start();
    assert.is(await holders('vk'), 1);
    assert.is(await sh(['-v', 'vk:/d'], 'cat /d/f'), 'on');
    await docker('rm', '-f', 'k1');
    await eventually('nothing is mounted', async () => (await mountsOfOurs()) === '');
    await docker('volume', 'rm', 'vk');
  });

  dockerTest('nothing is left', async () => {
    assert.is(await docker('volume', 'ls', '-q'), '');
    assert.is(await mountsOfOurs(), '');
    await eventually(
      'the trash is empty',
      async () =>
        (await setup.host.sh(`find ${setup.volumed.stateDir}/trash ${setup.volumed.stateDir}/volumes -mindepth 2`)) ===
        '',
    );
  });

  dockerTest.run();
}
