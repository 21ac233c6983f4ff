/** The conformance suites against the SDK's examples: four pass, the broken one fails with reasons that can be read. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ContractReport } from '../../plugins/sdk/contract/report.ts';
import { runContract, startExample } from '../support/example-plugins.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth');

for (const kind of ['network', 'ipam', 'volume', 'log'] as const) {
  test(`the ${kind} example conforms`, async () => {
    const host = await createHost();
    try {
      const { name, socket, process } = await startExample(host, kind);
      const { code, output } = await runContract(host, [kind, '--socket', socket]);
      assert.is(code, 0, `${output}\n${process.output()}`);
      assert.match(output, /2\d passed, 0 failed, 0 skipped/);
      // The name finds the same socket, and JSON says the same.
      const json = await runContract(host, [kind, '--socket', name, '--json']);
      const report = JSON.parse(json.output.slice(0, json.output.lastIndexOf('exit'))) as ContractReport;
      assert.is(report.failed, 0, json.output);
      assert.is((await host.run('ip', ['-o', 'link'])).stdout.trim().split('\n').length, 1, 'only lo is left');
      await process.stop();
      assert.is(await host.sh(`ls /run/docker/plugins`), '', 'the socket went with the plugin');
    } finally {
      await host.close();
    }
  });
}

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
