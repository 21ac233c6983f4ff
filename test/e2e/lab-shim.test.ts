/** Lab scripts on cleat-shim: every claim in them holds there as it does on Docker (lab.test.ts, where all of them run). */
import { test } from 'uvu';
import { match } from 'uvu/assert';
import { startDaemon } from '../support/daemon.ts';
import { createHost } from '../support/host.ts';
import { labScripts, passes, passesIn } from '../support/lab.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables', 'overlayfs', 'program:docker', 'program:conmon', 'program:conntrack');

/** What depends on the engine more than on a driver: its namespaces, links, names, execs, volumes. */
const scripts = /^(capture|links|network-modes|volume-quota)\.sh$/;

const host = await createHost({ name: 'lab' });
for (const name of ['networkd', 'volumed', 'logd', 'shim'] as const) await startDaemon(name, host);
test.after(() => host.close());

for (const script of labScripts.filter((name) => scripts.test(name)))
  test(script, async () => {
    await passesIn(host, script, {
      DOCKER_HOST: 'unix:///run/cleat/docker.sock',
      CLEAT_LAB_STATE: `${host.dir}/state`,
    });
  });

test('--shim brings a host of its own', () => {
  match(passes('static-addresses.sh', '--shim'), /running on cleat-shim/);
});

test.run();
