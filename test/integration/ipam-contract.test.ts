/** cleat-ipam through the conformance suite, over its socket: as it comes, and with replay and MAC addresses on. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createAnonymousNetns } from '../../plugins/linux/netns.ts';
import { startIpam } from '../../plugins/network/ipam/ipam.ts';
import { testIpamPlugin } from '../../plugins/sdk/contract/ipam.ts';
import { listenPlugin } from '../../plugins/sdk/listen.ts';
import { openStore } from '../../plugins/store/store.ts';
import { requires } from '../support/requires.ts';

requires('root');

for (const config of [{}, { 'request-replay': true, 'require-mac': true }]) {
  test(`conforms with ${JSON.stringify(config)}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cleat-ipam-contract-'));
    const log = pino({ enabled: false });
    using netns = createAnonymousNetns();
    using store = openStore(join(folder, 'test.db'));
    const ipam = startIpam({ store, config, log, netns });
    const socketPath = join(folder, 'ipam.sock');
    const listening = await listenPlugin(ipam.plugin, { socketPath, log });
    try {
      const report = await testIpamPlugin({ socket: socketPath });
      const failed = report.results
        .filter(({ outcome }) => outcome === 'failed')
        .map(({ title, reason }) => `${title}: ${reason}`);
      assert.equal(failed, []);
      assert.ok(report.passed > 15, `${report.passed} checks ran`);
      assert.equal(ipam.status().pools, [], 'everything was given back');
    } finally {
      await listening.close();
      ipam.close();
      rmSync(folder, { recursive: true });
    }
  });
}

test.run();
