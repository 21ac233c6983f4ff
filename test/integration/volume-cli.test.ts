/** `cleat volume` against a running daemon: backups that are checked, copies, what is pruned and what never is. */
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { CommandError } from '../../plugins/linux/command.ts';
import { eventually } from '../support/deadline.ts';
import { requires } from '../support/requires.ts';
import { createVolumeHost, type VolumeHost } from '../support/volume-host.ts';

requires('root', 'program:zstd', 'program:tar');

const cliTest = suite('volume-cli');
let volumes: VolumeHost;
const cleat = fileURLToPath(new URL('../../bin/cleat', import.meta.url));

cliTest.before(async () => {
  volumes = await createVolumeHost();
});

cliTest.after(async () => {
  await volumes?.close();
});

async function run(...args: readonly string[]): Promise<string> {
  return (await volumes.host.run(cleat, ['volume', ...args])).stdout.trim();
}

async function refused(...args: readonly string[]): Promise<CommandError> {
  return await run(...args).then(
    () => assert.unreachable(`cleat volume ${args.join(' ')} succeeded`) as never,
    (error: unknown) => error as CommandError,
  );
}

/** Fills a volume with what is hard to keep: owners, modes, links, holes, attributes, names. */
async function fill(name: string): Promise<void> {
  const path = await volumes.local.mount(name, 'fill');
  await volumes.host.sh(`cd ${path}; echo text >f; chown 123:456 f; chmod 4750 f; ln -s f l; ln f hard; mkdir -m 1777 d
    truncate -s 64M hole; printf x >"d/$(printf 'new\\nline')"; mkfifo p; touch -d 2001-02-03 f; chown 7:8 .; chmod 0711 .`);
  await volumes.local.unmount(name, 'fill');
}

async function listing(name: string): Promise<string> {
  const path = await volumes.local.mount(name, 'list');
  const text = await volumes.host.sh(
    `cd ${path}; find . -type d -printf '%P|%m|%U|%G\\n' -o -printf '%P|%y|%m|%U|%G|%s|%l|%n\\n' | sort; stat -c %Y f; cat hard; du -k hole | cut -f1`,
  );
  await volumes.local.unmount(name, 'list');
  return text;
}

cliTest('backup and restore keep everything', async () => {
  const { local, host } = volumes;
  await local.create('source');
  await local.create('target', { size: '32m' });
  await fill('source');
  const made = JSON.parse(await run('backup', 'source', '-O', '/run/b.tar.zst', '--json')) as {
    sha256: string;
    bytes: number;
  };
  assert.is(await host.sh('zstd -dcq /run/b.tar.zst | sha256sum | cut -d" " -f1'), made.sha256, 'any zstd reads it');
  await run('restore', 'target', '-i', '/run/b.tar.zst');
  assert.is(await listing('target'), await listing('source'));
  assert.equal((await local.status('source'))['holders'], []);
});

cliTest('a damaged or cut backup changes nothing', async () => {
  const { host } = volumes;
  const before = await listing('target');
  await host.sh(`size=$(stat -c %s /run/b.tar.zst); head -c $((size - 10)) /run/b.tar.zst >/run/cut
    head -c $((size / 2)) /run/b.tar.zst >/run/half
    cp /run/b.tar.zst /run/bad; printf '\\377' | dd of=/run/bad bs=1 seek=60 conv=notrunc 2>/dev/null; echo no backup >/run/text`);
  for (const file of ['cut', 'half', 'bad', 'text']) {
    assert.match((await refused('restore', 'target', '--force', '-i', `/run/${file}`)).stderr, /VOL_BACKUP/, file);
    assert.is(await listing('target'), before, file);
  }
  assert.match((await refused('restore', 'target', '-i', '/run/b.tar.zst')).stderr, /not empty/);
  await run('restore', 'target', '--force', '-i', '/run/b.tar.zst');
  assert.is(await listing('target'), before);
});

cliTest('standard output and standard input', async () => {
  const { local, host } = volumes;
  await local.create('piped');
  await host.sh(`${cleat} volume backup source | ${cleat} volume restore piped`);
  assert.is(await listing('piped'), await listing('source'));
});

cliTest('a volume in use is not backed up behind its back', async () => {
  const { local, host } = volumes;
  const path = await local.mount('source', 'a');
  const holder = host.start('unshare', [
    '--mount',
    'bash',
    '-c',
    `mkdir -p /run/m; mount --bind ${path} /run/m; echo bound; exec sleep 600`,
  ]);
  await eventually('it is bound', () => holder.output().includes('bound'));
  assert.match((await refused('backup', 'source', '-O', '/run/c')).stderr, /in use by process \d+ \(sleep\)/);
  await run('backup', 'source', '-O', '/run/c', '--live');
  assert.match(await run('holders', 'source'), /sleep/);
  await holder.kill();
  await local.unmount('source', 'a');
});

cliTest('a backup that is killed leaves no hold and no file', async () => {
  const { local, host } = volumes;
  await local.create('big');
  await host.sh(`head -c 20M /dev/urandom >${await local.mount('big', 'a')}/random`);
  await local.unmount('big', 'a');
  const held = async (): Promise<boolean> => ((await local.status('big'))['holders'] as unknown[]).length > 0;
  // Nobody reads the pipe, so the backup stands still in the middle.
  const child = host.start('bash', ['-c', `${cleat} volume backup big | (sleep 600)`]);
  await eventually('it holds the volume', async () => {
    if (child.output() !== '') throw new Error(child.output());
    return await held();
  });
  await host.sh('pkill -KILL -f "[c]li/main.ts volume backup"');
  await eventually('the hold is gone', async () => !(await held()));
  await child.kill();
});

cliTest('clone and snapshot', async () => {
  const { local, host } = volumes;
  await run('clone', 'source', 'copy');
  assert.is(await listing('copy'), await listing('source'));
  await run('clone', 'source', 'larger', '-o', 'size=40m');
  assert.is(await listing('larger'), await listing('source'));
  await run('snapshot', 'source', 'frozen');
  assert.is(await listing('frozen'), await listing('source'));
  const path = await local.mount('frozen', 'a');
  assert.match(await host.sh(`touch ${path}/new 2>&1 || true`), /Read-only/);
  await local.unmount('frozen', 'a');
  assert.match((await refused('clone', 'source', 'copy')).stderr, /exists already/);
});

cliTest('update, df, ls, inspect', async () => {
  await run('update', 'larger', '-o', 'size=48m');
  const table = await run('df');
  assert.match(table, /larger +\S+ +\d\d\.\d+MB/, table);
  const listed = JSON.parse(await run('ls', '--json')) as { name: string; health: string }[];
  assert.ok(listed.some(({ name, health }) => name === 'source' && health === 'idle'));
  const inspected = JSON.parse(await run('inspect', 'cleat-local/source')) as { users: unknown[] };
  assert.equal(inspected.users, []);
  assert.is((await refused('inspect', 'nothing')).exitCode, 1);
});

cliTest('prune takes what is anonymous, or all, and asks nobody only by force', async () => {
  const { local } = volumes;
  await local.create('0123456789abcdef'.repeat(4));
  await local.create('labelled', { 'label.team': 'a' });
  await local.mount('labelled', 'held');
  assert.is((await refused('prune', '--engine', 'none')).exitCode, 2);
  assert.match(await run('prune', '--dry-run', '--engine', 'none'), /0123456789abcdef/);
  await run('prune', '--force', '--engine', 'none');
  assert.not((await local.names()).includes('0123456789abcdef'.repeat(4)));
  assert.ok((await local.names()).includes('source'));
  await run('prune', '--force', '--all', '--engine', 'none');
  assert.equal(await local.names(), ['labelled'], 'what is held stays');
  await local.unmount('labelled', 'held');
  await run('prune', '--force', '--all', '--label', 'team=b', '--engine', 'none');
  assert.equal(await local.names(), ['labelled']);
  await run('prune', '--force', '--all', '--label', 'team=a', '--engine', 'none');
  assert.equal(await local.names(), []);
  assert.equal(await volumes.mounts(), []);
});

cliTest.run();
