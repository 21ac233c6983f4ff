/** Each example of the SDK behind real engines: what a user does with it, by its effect. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually } from '../support/deadline.ts';
import { engineVersions, startEngine } from '../support/engine.ts';
import { startExample } from '../support/example-plugins.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'engine-20.10', 'engine-28');

for (const version of engineVersions) {
  test(`the four examples work with engine ${version}`, async () => {
    const host = await createHost();
    try {
      for (const kind of ['network', 'ipam', 'volume', 'log'] as const) await startExample(host, kind);
      const engine = await startEngine({ version, host });
      const { docker } = engine;

      await docker(
        'network',
        'create',
        '-d',
        'example-network',
        '--ipam-driver',
        'example-ipam',
        '-o',
        'mtu=1400',
        'n1',
      );
      const network = JSON.parse(await docker('network', 'inspect', 'n1'))[0];
      assert.is(network.IPAM.Config[0].Subnet, '10.201.0.0/24');
      assert.is(network.IPAM.Config[0].Gateway, '10.201.0.1');
      await docker('volume', 'create', '-d', 'example-volume', '-o', 'mode=0700', 'v1');

      const log = ['--log-driver', 'example-log'];
      const common = ['run', '-d', '--network', 'n1', ...log];
      await docker(
        ...common,
        '--name',
        'c1',
        '-v',
        'v1:/data',
        'busybox',
        'sh',
        '-c',
        'echo from c1 > /data/file; exec sleep 1000',
      );
      await docker(
        ...common,
        '--name',
        'c2',
        '-v',
        'v1:/data',
        'busybox',
        'sh',
        '-c',
        'cat /data/file; echo on stderr >&2; exec sleep 1000',
      );

      assert.match(await docker('exec', 'c2', 'ping', '-c', '1', '-W', '5', 'c1'), /1 packets received/);
      assert.match(await docker('exec', 'c2', 'ip', 'link', 'show', 'eth0'), /mtu 1400/);
      assert.match(await docker('exec', 'c2', 'ip', 'route'), /default via 10\.201\.0\.1/);
      await eventually('docker logs shows both lines', async () => {
        const { stdout, stderr } = await engine.dockerWith({}, 'logs', 'c2');
        return stdout === 'from c1\n' && stderr === 'on stderr\n';
      });

      const unknown = await docker('network', 'create', '-d', 'example-network', '-o', 'mtv=1400', 'n2').catch(String);
      assert.match(unknown, /example-network has no option "mtv"; did you mean "mtu"\? .*\[PROTO_OPTION_UNKNOWN\]/);

      const followed = engine.dockerWith({}, 'logs', '-f', '--tail', '0', 'c2');
      await docker('stop', '-t', '0', 'c1', 'c2');
      assert.is((await followed).stdout, '', 'following ends with the container');
      assert.is((await engine.dockerWith({}, 'logs', 'c2')).stdout, 'from c1\n', 'logs of a stopped container');
      await docker('rm', 'c1', 'c2');
      await docker('network', 'rm', 'n1');
      await docker('volume', 'rm', 'v1');
      assert.is(await docker('volume', 'ls', '-q', '-f', 'driver=example-volume'), '');
      const links = (await host.run('ip', ['-o', 'link'])).stdout;
      assert.not.match(links, /: x[bhc][0-9a-f]{12}/, 'no link of the example is left');
    } finally {
      await host.close();
    }
  });
}

test.run();
