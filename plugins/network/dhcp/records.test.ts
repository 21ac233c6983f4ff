import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openStore } from '../../store/store.ts';
import { openDhcpRecords } from './records.ts';

test('a lease of version 1 keeps its name servers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cleat-dhcp-records-'));
  try {
    using store = openStore(join(folder, 'db'));
    const lease = {
      poolId: 'p',
      address: '192.0.2.7',
      mac: '02:00:5e:00:53:01',
      clientId: '01',
      serverId: '192.0.2.1',
    };
    store.table('dhcp.leases', { version: 1 }).put('p 192.0.2.7', { ...lease, obtainedAt: 1, dns: ['192.0.2.1'] });
    const read = openDhcpRecords(store).leases.get('p 192.0.2.7');
    assert.equal(read, { ...lease, obtainedAt: 1, nameServers: ['192.0.2.1'] });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
