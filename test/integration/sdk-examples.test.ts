/** The conformance suites against the SDK's examples: four pass, the broken one fails with reasons that can be read. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ContractReport } from '../../plugins/sdk/contract/report.ts';
import { eventually } from '../support/deadline.ts';
import { runContract, startExample } from '../support/example-plugins.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'program:socat', 'program:systemd-socket-activate');

const checkout = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

for (const kind of ['network', 'ipam', 'volume', 'log'] as const) {
  test(`the ${kind} example conforms`, async () => {
    const host = await createHost();
    try {
      const { name, socket, process } = await startExample(host, kind);
      const { code, output } = await runContract(host, [
        kind,
        '--socket',
        socket,
        ...(kind === 'network' ? ['--ipv6'] : []),
      ]);
      assert.is(code, 0, `${output}\n${process.output()}`);
      assert.match(output, /[23]\d passed, 0 failed, [01] skipped/);
      if (kind === 'volume') {
        // The name finds the same socket, and JSON says the same.
        const json = await runContract(host, [kind, '--socket', name, '--json']);
        const report = JSON.parse(json.output.slice(0, json.output.lastIndexOf('exit'))) as ContractReport;
        assert.is(report.failed, 0, json.output);
      }
      assert.is((await host.run('ip', ['-o', 'link'])).stdout.trim().split('\n').length, 1, 'only lo is left');
      await process.stop();
      assert.is(await host.sh(`ls /run/docker/plugins`), '', 'the socket went with the plugin');
    } finally {
      await host.close();
    }
  });
}

test('the quick start of the README conforms as it stands there', async () => {
  const host = await createHost();
  try {
    const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(readFileSync(checkout('plugins/sdk/README.md'), 'utf8')) ?? [];
    assert.ok(code.split('\n').length <= 40, 'a quick start has 40 lines');
    const script = code
      .replace('/var/lib/hello-volume', join(host.dir, 'hello-volume'))
      .replace("'cleat/sdk'", `'${checkout('plugins/sdk/index.ts')}'`);
    const node = `cd ${checkout('')} && exec bin/node --input-type=module-typescript -e "$SCRIPT"`;
    const plugin = host.start('sh', ['-c', node], { env: { SCRIPT: script } });
    const socket = '/run/docker/plugins/hello-volume.sock';
    await eventually('it listens', async () => {
      if (!plugin.running()) throw new Error(plugin.output());
      await host.run('test', ['-S', socket]);
      return true;
    });
    const { code: exit, output } = await runContract(host, ['volume', '--socket', 'hello-volume']);
    assert.is(exit, 0, `${output}\n${plugin.output()}`);
  } finally {
    await host.close();
  }
});

test('systemd socket activation: the socket is taken over, outlives the plugin, and readiness is told', async () => {
  const host = await createHost();
  try {
    const socket = '/run/docker/plugins/example-volume.sock';
    await host.sh('mkdir -p /run/docker/plugins');
    // What systemd does for a socket unit and a service of Type=notify.
    const told = join(host.dir, 'told');
    host.start('socat', ['-u', `UNIX-RECV:${join(host.dir, 'notify')}`, `OPEN:${told},creat,append`]);
    const example = [checkout('bin/node'), checkout('plugins/sdk/examples/volume.ts')];
    const state = join(host.dir, 'state');
    const variable = `NOTIFY_SOCKET=${join(host.dir, 'notify')}`;
    const activation = ['-E', variable, '-l', socket, ...example, '/run/docker/plugins', state];
    const first = host.start('systemd-socket-activate', activation);
    await eventually('systemd listens', async () => (await host.run('test', ['-S', socket])).stdout === '');
    const { code, output } = await runContract(host, ['volume', '--socket', socket]);
    assert.is(code, 0, `${output}\n${first.output()}`);
    await eventually('readiness was told', () => existsSync(told) && readFileSync(told, 'utf8').includes('READY=1'));
    await first.stop();
    await host.run('test', ['-S', socket]);
  } finally {
    await host.close();
  }
});

test('the broken example fails, with the reason for each mistake', async () => {
  const host = await createHost();
  try {
    const { socket } = await startExample(host, 'broken-volume');
    const { code, output } = await runContract(host, ['volume', '--socket', socket]);
    assert.is(code, 1, output);
    const reasons = [
      '"Implements" does not contain "VolumeDriver" (the spelling counts)',
      'VolumeDriver.Create with an empty body was answered with success',
      'Volume.CreatedAt must be a time of RFC 3339, not "yesterday"',
      'after Mount, Mount, Unmount with one ID: the ID must be counted',
      'Mount of a volume that does not exist must be an error',
    ];
    for (const reason of reasons) assert.ok(output.includes(reason), `${reason}\n${output}`);
  } finally {
    await host.close();
  }
});

test('the command tells wrong use and a missing plugin apart', async () => {
  const host = await createHost();
  try {
    assert.is((await runContract(host, ['volume'])).code, 2);
    assert.is((await runContract(host, ['nonsense', '--socket', '/run/x.sock'])).code, 2);
    assert.is((await runContract(host, ['volume', '--socket', '/run/x.sock', '--time-limit', 'soon'])).code, 2);
    const away = await runContract(host, ['volume', '--socket', '/run/x.sock']);
    assert.is(away.code, 69, away.output);
    assert.is((await runContract(host, ['volume', '--socket', 'no-such-plugin'])).code, 69);
    assert.is((await runContract(host, ['--help'])).code, 0);
  } finally {
    await host.close();
  }
});

test.run();
