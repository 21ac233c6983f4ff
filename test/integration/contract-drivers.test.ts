/** The conformance suites against our own drivers, by the same command that an outside author runs. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type DaemonName, startDaemon } from '../support/daemon.ts';
import { runContract } from '../support/example-plugins.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables');

interface Subject {
  readonly plugin: string;
  readonly kind: 'network' | 'ipam' | 'volume' | 'log';
  readonly args?: readonly string[];
}

const subjects: Readonly<Record<Exclude<DaemonName, 'shim'>, readonly Subject[]>> = {
  networkd: [
    { plugin: 'cleat-bridge', kind: 'network', args: ['--ipv6'] },
    { plugin: 'cleat-ipam', kind: 'ipam' },
  ],
  volumed: [
    { plugin: 'cleat-local', kind: 'volume' },
    { plugin: 'cleat-tmpfs', kind: 'volume', args: ['--volatile'] },
  ],
  logd: [
    { plugin: 'cleat-json-file', kind: 'log' },
    { plugin: 'cleat-syslog', kind: 'log', args: ['--opt', 'syslog-address=udp://127.0.0.1:5514'] },
    { plugin: 'cleat-gelf', kind: 'log', args: ['--opt', 'gelf-address=udp://127.0.0.1:12201'] },
  ],
};

for (const [daemon, plugins] of Object.entries(subjects)) {
  test(`the plugins of cleat-${daemon} conform`, async () => {
    const host = await createHost();
    try {
      const running = await startDaemon(daemon as DaemonName, host, { logLevel: 'info' });
      for (const { plugin, kind, args = [] } of plugins) {
        const { code, output } = await runContract(host, [kind, '--socket', plugin, ...args]);
        assert.is(code, 0, `${plugin}\n${output}`);
      }
      assert.ok(running.running());
      assert.not.match(running.log(), /PROTO_INTERNAL|a defect/, 'no defect showed');
    } finally {
      await host.close();
    }
  });
}

test.run();
