/** Both engines, as the other tests use them: containers, live restore over SIGKILL, a lost state, nothing left. */
import { test } from 'uvu';
import { is, match } from 'uvu/assert';
import { engineVersions, startEngine } from '../support/engine.ts';
import { missing } from '../support/requires.ts';

for (const version of engineVersions) {
  const reason = missing('root', `engine-${version}`);
  if (reason !== undefined) {
    console.log(`# skip: ${reason}`);
    continue;
  }
  test(`engine ${version} runs containers and keeps them over its own SIGKILL`, async () => {
    const engine = await startEngine({ version, liveRestore: true });
    try {
      is(((await engine.api('GET', '/version')).body as { Version: string }).Version.startsWith(version), true);
      match(await engine.docker('run', '--rm', 'busybox', 'ip', 'addr'), /eth0/);
      if (missing('engine-28') === undefined) match(await engine.docker('compose', 'version'), /v?2\./);
      await engine.docker('run', '-d', '--name', 'web', 'busybox', 'httpd', '-f');
      const started = await engine.docker('inspect', '-f', '{{.State.StartedAt}}', 'web');
      await engine.kill();
      await engine.start();
      is(await engine.docker('inspect', '-f', '{{.State.Running}} {{.State.StartedAt}}', 'web'), `true ${started}`);
      await engine.docker('rm', '-f', 'web');
      await engine.wipe();
      await engine.start();
      is(await engine.docker('ps', '-aq'), '');
      is(await engine.docker('images', '-q'), '');
    } finally {
      await engine.close();
    }
  });
}

test.run();
