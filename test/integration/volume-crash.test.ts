/** kill -9 at every point between which something is half done, and at random points under load: nothing lost, all agrees. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../support/deadline.ts';
import { requires } from '../support/requires.ts';
import type { VolumeClient } from '../support/volume-client.ts';
import { createVolumeHost, type VolumeHost } from '../support/volume-host.ts';

requires('root');

const crashTest = suite('volume-crash');
let volumes: VolumeHost;

crashTest.before(async () => {
  volumes = await createVolumeHost({ staleAfter: '1s' });
});

crashTest.after(async () => {
  await volumes?.close();
});

const image = { size: '16m' };

/** Whatever the verb answers: the daemon may die in the middle of it. */
async function attempt(work: Promise<unknown>): Promise<boolean> {
  return await work.then(
    () => true,
    () => false,
  );
}

/** What must hold after any crash: the same verbs work again, and in the end nothing is left. */
async function agree(): Promise<void> {
  const { local } = volumes;
  await local.create('victim', image);
  const path = await local.mount('victim', 'after');
  await volumes.host.sh(`echo after >${path}/after`);
  await local.unmount('victim', 'after');
  await eventually(
    'nobody holds it',
    async () => ((await local.status('victim'))['holders'] as unknown[]).length === 0,
  );
  await local.remove('victim');
  assert.equal(await local.names(), ['keep']);
  await eventually('nothing is mounted', async () => (await volumes.mounts()).length === 0);
  await eventually(
    'nothing is left',
    async () => !(await volumes.leftovers()).replaceAll(/.*\/cleat-local\/keep.*/g, '').trim(),
  );
  assert.is(await volumes.host.sh(`losetup -a | grep ${volumes.stateDir} || true`), '');
}

const steps: readonly [
  step: string,
  verb: (local: VolumeClient) => Promise<unknown>,
  prepare: (local: VolumeClient) => Promise<unknown>,
][] = [
  ['create:recorded', (local) => local.create('victim', image), async () => {}],
  ['create:made', (local) => local.create('victim', image), async () => {}],
  ['create:ready', (local) => local.create('victim', image), async () => {}],
  ['mount:attached', (local) => local.mount('victim', 'a'), (local) => local.create('victim', image)],
  ['mount:recorded', (local) => local.mount('victim', 'a'), (local) => local.create('victim', image)],
  ['unmount:recorded', (local) => local.unmount('victim', 'a'), mounted],
  ['unmount:detached', (local) => local.unmount('victim', 'a'), mounted],
  ['remove:recorded', (local) => local.remove('victim'), (local) => local.create('victim', image)],
  ['remove:detached', (local) => local.remove('victim'), (local) => local.create('victim', image)],
  ['remove:discarded', (local) => local.remove('victim'), (local) => local.create('victim', image)],
  ['remove:forgotten', (local) => local.remove('victim'), (local) => local.create('victim', image)],
];

async function mounted(local: VolumeClient): Promise<void> {
  await local.create('victim', image);
  await local.mount('victim', 'a');
}

crashTest('a volume that everybody leaves alone is made', async () => {
  const { local, host } = volumes;
  await local.create('keep');
  const path = await local.mount('keep', 'k');
  await host.sh(`echo precious >${path}/f`);
  await local.unmount('keep', 'k');
});

for (const [step, verb, prepare] of steps) {
  crashTest(`killed at ${step}`, async () => {
    const { local, host } = volumes;
    await volumes.kill();
    await volumes.start({ crashAt: step });
    await prepare(local);
    await attempt(verb(local));
    await volumes.crashed();
    await volumes.start();
    const known = await local.names();
    if (step.startsWith('remove')) assert.equal(known, ['keep'], 'the removal goes on');
    if (step === 'create:ready' || step.includes('mount')) assert.equal(known, ['keep', 'victim']);
    // The hold was on disk: it is there until it turns out that nobody is behind it.
    if (step === 'mount:recorded') assert.is(((await local.status('victim'))['holders'] as unknown[]).length, 1);
    assert.is(await host.sh(`cat ${(await local.get('keep')).Mountpoint}/f`), 'precious');
    await eventually('an unanswered hold goes by itself', async () => {
      const { Volume } = await local.call('Get', { Name: 'victim' });
      return Volume === undefined || JSON.stringify(Volume.Status?.['holders']) === '[]';
    });
    await agree();
  });
}

crashTest('reboot: holds and mounts of before are gone, volumes and data are not', async () => {
  const { local, tmpfs, host } = volumes;
  await local.create('boot', image);
  const path = await local.mount('boot', 'a');
  await host.sh(`echo kept >${path}/f`);
  await tmpfs.create('memory', { keep: 'always' });
  await tmpfs.mount('memory', 'a');
  await volumes.kill();
  // What a reboot does to mounts.
  await host.sh(`grep -o ' ${volumes.stateDir}/mounts[^ ]*' /proc/self/mountinfo | sort -ru | xargs -r umount`);
  await volumes.start({ bootId: 'another' });
  assert.equal((await local.status('boot'))['holders'], []);
  assert.is((await local.get('boot')).Mountpoint, '');
  assert.equal((await tmpfs.status('memory'))['holders'], []);
  const again = await local.mount('boot', 'a');
  assert.is(await host.sh(`cat ${again}/f`), 'kept');
  await local.unmount('boot', 'a');
  await local.remove('boot');
  await tmpfs.remove('memory');
  await volumes.kill();
  await volumes.start();
});

crashTest('random kills under load', async () => {
  const { local, tmpfs, host } = volumes;
  const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 4);
  const names = ['r0', 'r1', 'r2', 'r3'];
  /** What an answer has promised; undefined while a verb is unanswered. */
  const exists = new Map<string, boolean | undefined>();
  const written = new Map<string, string>();
  const held = new Map<string, Set<string>>();
  for (let round = 0; round < rounds; round++) {
    const end = performance.now() + 30 + Math.random() * 250;
    const load = names.map(async (name, index) => {
      const client = index === 3 ? tmpfs : local;
      const options = index === 1 ? image : index === 3 ? { keep: 'always' } : undefined;
      const ids = held.get(name) ?? new Set<string>();
      held.set(name, ids);
      while (performance.now() < end) {
        if (exists.get(name) !== true) {
          exists.set(name, undefined);
          if (!(await attempt(client.create(name, options)))) return;
          exists.set(name, true);
        }
        const id = `${round}-${Math.random()}`;
        let path = '';
        if (
          !(await attempt(
            client.mount(name, id).then((at) => {
              path = at;
            }),
          ))
        )
          return;
        ids.add(id);
        const text = `${round}-${Math.random()}`;
        await host.run('sh', ['-c', `cat >"${path}/data" && sync -f "${path}/data"`], { input: text });
        written.set(name, text);
        if (Math.random() < 0.3) continue;
        if (!(await attempt(client.unmount(name, id)))) return;
        ids.delete(id);
        if (Math.random() < 0.7 || ids.size > 0) continue;
        exists.set(name, undefined);
        written.delete(name);
        if (!(await attempt(client.remove(name)))) return;
        exists.set(name, false);
      }
    });
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, end - performance.now() - 20)));
    await volumes.kill();
    await Promise.all(load);
    await volumes.start();
    for (const [index, name] of names.entries()) {
      const client = index === 3 ? tmpfs : local;
      const { Volume } = await client.call('Get', { Name: name });
      const promised = exists.get(name);
      if (promised !== undefined) assert.is(Volume !== undefined, promised, `round ${round}: ${name}`);
      exists.set(name, Volume !== undefined);
      if (Volume === undefined) {
        held.get(name)?.clear();
        written.delete(name);
        continue;
      }
      const path = await client.mount(name, 'check');
      if (written.has(name))
        assert.is(await host.sh(`cat ${path}/data`), written.get(name), `round ${round}: data of ${name}`);
      await client.unmount(name, 'check');
      for (const id of held.get(name) ?? []) await client.unmount(name, id);
      held.get(name)?.clear();
    }
  }
  for (const [index, name] of names.entries()) {
    const client = index === 3 ? tmpfs : local;
    await eventually(`${name} is released and removed`, async () => await attempt(client.remove(name)), {
      everyMs: 200,
    });
  }
  await agree();
});

crashTest.run();
