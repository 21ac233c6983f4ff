/** Leases on disk: what they wait for, and whose they are. No server is asked: their parent is not there. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RouteSocket } from '../../linux/netlink/route-socket.ts';
import { openStore, type Store } from '../../store/store.ts';
import { clientId4 } from './identity.ts';
import { Leases } from './leases.ts';
import type { LeaseRecord } from './records.ts';

interface Context {
  folder: string;
  store: Store;
  socket: RouteSocket;
  leases: Leases;
}

const test = suite<Context>('leases');
const log = { info: () => {}, warn: () => {} };

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'cleat-leases-'));
  context.store = openStore(join(context.folder, 'db'));
  context.socket = new RouteSocket();
  context.leases = new Leases(context.store, context.socket, log);
  const pool = { poolId: 'p', pool: '192.0.2.0/24', parent: 'cleat-no-such', lingerMs: 60_000, hostNames: true };
  context.leases.records.pools.put('p', pool);
});

test.after.each(({ folder, store, socket, leases }) => {
  leases.stop();
  socket.close();
  store.close();
  rmSync(folder, { recursive: true });
});

/** In use, of a client that is known by its MAC. */
function lease(last: number, more: Partial<LeaseRecord> = {}): LeaseRecord {
  const mac = `02:00:5e:00:53:${String(last).padStart(2, '0')}`;
  return {
    ...{ poolId: 'p', address: `192.0.2.${last}`, serverId: '192.0.2.1', nameServers: [], obtainedAt: Date.now() },
    ...{ mac, clientId: clientId4(undefined, mac).toString('hex'), leaseSeconds: 3600 },
    ...more,
  };
}

const container = (name: string, macAddress: string, address: string, givenMac?: string) => ({
  name,
  givenMac,
  networks: [{ networkId: 'n', networkName: 'lan', endpointId: 'e', addresses: [address], aliases: [], macAddress }],
});

test('one that has just stopped is known again, whatever its MAC address', ({ leases }) => {
  leases.keep(lease(11));
  leases.learn(container('web', '02:00:5e:00:53:11', '192.0.2.11'));
  assert.is(leases.findReturning('p'), undefined, 'it runs');
  leases.park('p', '192.0.2.11');
  assert.is(leases.findReturning('p')?.container, 'web');
  leases.keep(lease(12, { container: 'older', releasedAt: Date.now() - 30_000 }));
  assert.is(leases.findReturning('p')?.container, 'web', 'the one that stopped just now');
  leases.keep(lease(13, { container: 'other', releasedAt: Date.now() }));
  assert.is(leases.findReturning('p'), undefined, 'it may be either of them');
});

test('nobody takes the lease of one that comes back by its name or its own MAC address', ({ leases }) => {
  leases.keep(lease(11));
  leases.learn(container('web', '02:00:5e:00:53:11', '192.0.2.11', '02:00:5e:00:53:11'));
  leases.park('p', '192.0.2.11');
  assert.is(leases.findReturning('p'), undefined);
  const named = { container: 'app', clientId: clientId4('app', '').toString('hex') };
  leases.keep(lease(12, { ...named, releasedAt: Date.now() }));
  assert.is(leases.findReturning('p'), undefined);
  leases.keep(lease(13, { releasedAt: Date.now() }));
  assert.is(leases.findReturning('p'), undefined, 'nor that of one that no engine has told of');
});

test('a name is learned for the container that has the address now', ({ leases }) => {
  leases.keep(lease(11, { holder: '02:00:5e:00:53:99' }));
  leases.learn(container('stranger', '02:00:5e:00:53:11', '192.0.2.11'));
  assert.is(leases.of('p')[0]?.container, undefined);
  leases.learn(container('web', '02:00:5e:00:53:99', '192.0.2.11'));
  assert.is(leases.of('p')[0]?.container, 'web');
});

test('after another start of the host all wait for their containers; after one of the daemon none does', ({
  leases,
}) => {
  leases.start('first');
  leases.keep(lease(11));
  leases.start('first');
  assert.is(leases.of('p')[0]?.releasedAt, undefined);
  leases.start('second');
  assert.ok((leases.of('p')[0]?.releasedAt ?? 0) > Date.now(), 'longer than it lingers');
  assert.not(leases.hasEnded(lease(11)));
  assert.ok(leases.hasEnded(lease(11, { obtainedAt: Date.now() - 3_600_001 })));
});

test('an engine that comes back finds the leases of its containers', ({ leases }) => {
  const tell: ((event: { readonly kind: 'synchronised' }) => void)[] = [];
  const engine = { connected: false, subscribe: (listener: (typeof tell)[number]) => tell.push(listener) };
  leases.follow([engine as never]);
  leases.keep(lease(11, { container: 'web', releasedAt: Date.now() - 120_000 }));
  assert.is(leases.findReturning('p')?.container, 'web', 'twice its time to linger is over');
  engine.connected = true;
  for (const listener of tell) listener({ kind: 'synchronised' });
  assert.ok(Date.now() - (leases.of('p')[0]?.releasedAt ?? 0) < 60_000, 'its time begins anew');
});

test.run();
