/** The log drivers through the conformance suite that every plugin author has. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testLogPlugin } from '../../plugins/sdk/contract/index.ts';
import { startDaemon } from '../support/daemon.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root');

const drivers: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'cleat-json-file': {},
  'cleat-syslog': { 'syslog-address': 'tcp://127.0.0.1:9' },
  'cleat-gelf': { 'gelf-address': 'udp://127.0.0.1:9' },
};

test('all log drivers', async () => {
  const host = await createHost({ name: 'logcontract' });
  try {
    const logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
    for (const [driver, options] of Object.entries(drivers)) {
      const report = await testLogPlugin({ socket: logd.socket(driver), options });
      const failed = report.results.filter(({ outcome }) => outcome === 'failed');
      assert.equal(failed, [], driver);
      assert.ok(report.results.length > 10, driver);
    }
  } finally {
    await host.close();
  }
});

test.run();
