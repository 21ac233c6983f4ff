/** What the watcher of an engine's API learns from Podman: containers as they come, change and go, over a restart of its service. */
import { join } from 'node:path';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { EngineWatch } from '../../plugins/network/engine/watch.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { createPodman, type Podman } from '../support/podman.ts';
import type { HostProcess } from '../support/process.ts';
import { requires } from '../support/requires.ts';

requires('root', 'engine-28');

const watched = suite('the watcher on Podman');
let host: Host;
let engine: Engine;
let podman: Podman;
let service: HostProcess;
let watch: EngineWatch;

const socket = (): string => join(host.dir, 'p.sock');
const serve = (): Promise<HostProcess> => podman.start('system', 'service', '--time=0', `unix://${socket()}`);
const find = (name: string) => watch.containers().find((one) => one.name === name);

watched.before(async () => {
  host = await createHost({ name: 'podman' });
  engine = await startEngine({ version: '28', host });
  podman = await createPodman(host, engine);
  service = await serve();
  watch = new EngineWatch({ socketPath: socket(), log: pino({ level: 'silent' }) });
  watch.start();
});

watched.after(async () => {
  await watch?.close();
  await service?.stop();
  await engine?.close();
  await host?.close();
});

watched('names, labels and ports; rename, pause, and the end', async () => {
  await eventually('the service is there', () => Promise.resolve(watch.connected));
  const labels = ['--label', 'com.docker.compose.service=shop', '--expose', '80'];
  await podman.run('run', '-d', '--name', 'web', '--network', 'none', ...labels, 'busybox', 'sleep', '600');
  await eventually('it is known and runs', () => Promise.resolve(find('web')?.running === true));
  const web = find('web');
  assert.is(web?.labels['com.docker.compose.service'], 'shop');
  assert.equal(
    web?.ports.map(({ protocol, port }) => `${port}/${protocol}`),
    ['80/tcp'],
  );
  await podman.run('pause', 'web');
  await eventually('it is paused', () => Promise.resolve(find('web')?.paused === true));
  await podman.run('unpause', 'web');
  await eventually('and goes on', () => Promise.resolve(find('web')?.paused === false));
  await podman.run('rename', 'web', 'site');
  await eventually('its new name', () => Promise.resolve(find('site')?.id === web?.id && find('web') === undefined));

  await service.kill();
  await eventually('the service is away', () => Promise.resolve(!watch.connected));
  assert.is(find('site')?.id, web?.id, 'what is known stays');
  await podman.run('create', '--name', 'late', '--network', 'none', 'busybox', 'true');
  service = await serve();
  await eventually('what came meanwhile is known', () => Promise.resolve(find('late') !== undefined), {
    timeoutMs: 20_000,
  });
  await podman.run('rm', '-f', '-t', '0', 'site', 'late');
  await eventually('both are gone', () => Promise.resolve(watch.containers().length === 0));
});

watched.run();
