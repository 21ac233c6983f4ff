import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openStore } from '../../store/store.ts';
import { formatIp } from '../address/ip.ts';
import { CleatIpam } from './driver.ts';
import { Ledger } from './ledger.ts';
import type { LiveNetwork, LivePool } from './live-report.ts';
import { parseIpamConfig } from './options.ts';
import { purgePools } from './purge.ts';
import { Reconciler } from './reconcile.ts';
import { releaseAfterReboot } from './restore.ts';

const folder = mkdtempSync(join(tmpdir(), 'cleat-reconcile-'));
const grace = 60_000;
let count = 0;

test.after(() => rmSync(folder, { recursive: true }));

function open() {
  const config = parseIpamConfig({});
  const log = pino({ enabled: false });
  const store = openStore(join(folder, `${count++}.db`));
  const clock = { now: 1_000_000 };
  const now = () => clock.now;
  const hostAddresses: string[] = [];
  const ledger = new Ledger(store, () => config);
  const driver = new CleatIpam({ ledger, config: () => config, hostBlocks: () => [], now, onUse: () => {} });
  const reconciler = new Reconciler({
    ledger,
    log,
    now,
    graceMs: () => grace,
    hostAddresses: () => [...hostAddresses],
  });
  const pool = async (cidr: string) =>
    (await driver.requestPool({ addressSpace: 'cleat-local', pool: cidr, options: {}, v6: cidr.includes(':') })).poolId;
  const address = async (poolId: string, given: { address?: string; isGateway?: boolean } = {}) =>
    (await driver.requestAddress({ poolId, isGateway: false, serial: false, options: {}, ...given })).address.split(
      '/',
    )[0]!;
  /** What the engine says now, and again after each of the waits. */
  const report = (networks: readonly LiveNetwork[], source = 'engine:a', ...waits: number[]): void => {
    for (const wait of [0, ...waits]) {
      clock.now += wait;
      reconciler.report({ source, takenAt: clock.now, networks });
    }
  };
  const allocated = (poolId: string): string[] =>
    [...(ledger.find(poolId)?.pool.entries() ?? [])]
      .filter(([, record]) => record.state === 'allocated')
      .map(([value]) => formatIp({ family: poolId.includes(':') ? 6 : 4, value }))
      .sort();
  return { driver, ledger, reconciler, clock, pool, address, report, allocated, log, hostAddresses };
}

function network(pool: string, addresses: readonly string[], more: Partial<LivePool & LiveNetwork> = {}): LiveNetwork {
  const { auxiliary, gateway, subPool, options, ...rest } = more;
  const live = { pool, auxiliary, gateway, subPool, options };
  return {
    networkId: `id-${pool}`,
    networkName: 'web',
    ours: true,
    pools: [JSON.parse(JSON.stringify(live)) as LivePool],
    addresses: addresses.map((text) => ({ address: text, container: `c${text.split('.').at(-1)}` })),
    ...rest,
  };
}

test('an address that no endpoint has is freed after the grace period, and not before', async () => {
  const { pool, address, report, allocated } = open();
  const poolId = await pool('10.5.0.0/24');
  await address(poolId, { isGateway: true });
  const [kept, leaked] = [await address(poolId), await address(poolId)];
  const live = [network('10.5.0.0/24', [kept])];
  report(live, 'engine:a', 5000);
  assert.equal(allocated(poolId), ['10.5.0.1', kept, leaked], 'too young to be missed');
  report(live, 'engine:a', 20_000, 30_000);
  assert.equal(allocated(poolId), ['10.5.0.1', kept, leaked], 'missing, within the grace period');
  report(live, 'engine:a', 30_000);
  assert.equal(allocated(poolId), ['10.5.0.1', kept]);
});

test('an endpoint that appears late keeps its address', async () => {
  const { pool, address, report, allocated, clock } = open();
  const poolId = await pool('10.5.0.0/24');
  const slow = await address(poolId);
  report([network('10.5.0.0/24', [])], 'engine:a', 20_000, 50_000);
  report([network('10.5.0.0/24', [slow])]);
  clock.now += 50_000;
  report([network('10.5.0.0/24', [])], 'engine:a', 30_000);
  assert.equal(allocated(poolId), [slow], 'missing again counts from the start');
});

test('a leaked address can be asked for by name before the grace period is over', async () => {
  const { pool, address, report } = open();
  const poolId = await pool('10.5.0.0/24');
  report([network('10.5.0.0/24', [])]);
  await address(poolId, { address: '10.5.0.9' });
  let refusedFirst = false;
  await address(poolId, { address: '10.5.0.9' }).catch(() => {
    refusedFirst = true;
  });
  assert.ok(refusedFirst);
  report([network('10.5.0.0/24', [])], 'engine:a', 15_000);
  assert.is(await address(poolId, { address: '10.5.0.9' }), '10.5.0.9');
});

test('auxiliary addresses and gateways live as long as the pool', async () => {
  const { pool, address, report, allocated } = open();
  const poolId = await pool('10.5.0.0/24');
  await address(poolId, { isGateway: true });
  await address(poolId, { address: '10.5.0.8' });
  await address(poolId, { address: '10.5.0.9' });
  // Drivers do not know which are auxiliary, engines do: .9 was a container's that started within the first seconds.
  report([network('10.5.0.0/24', [])], 'drivers', 20_000, grace);
  assert.equal(allocated(poolId), ['10.5.0.1', '10.5.0.8', '10.5.0.9']);
  report([network('10.5.0.0/24', [], { auxiliary: ['10.5.0.8'] })]);
  for (let round = 0; round < 2; round++) {
    report([network('10.5.0.0/24', [])], 'drivers', grace / 2);
    report([network('10.5.0.0/24', [], { auxiliary: ['10.5.0.8'] })], 'engine:a', grace / 2);
  }
  assert.equal(allocated(poolId), ['10.5.0.1', '10.5.0.8']);
});

test('what one source lists is in use, whatever another says', async () => {
  const { pool, address, report, allocated } = open();
  const poolId = await pool('10.5.0.0/24');
  const one = await address(poolId);
  for (let round = 0; round < 5; round++) {
    report([network('10.5.0.0/24', [one])], 'engine:a', grace);
    report([network('10.5.0.0/24', [])], 'drivers', grace);
  }
  assert.equal(allocated(poolId), [one]);
});

test('a source that claimed the pool and is silent keeps everything', async () => {
  const { pool, address, report, allocated, ledger, log, clock } = open();
  const poolId = await pool('10.5.0.0/24');
  const one = await address(poolId);
  report([network('10.5.0.0/24', [one])], 'engine:a');
  // A new process: the engine is down, the drivers have lost the endpoint.
  const later = new Reconciler({ ledger, log, now: () => clock.now, graceMs: () => grace, hostAddresses: () => [] });
  const driversOnly = { ...network('10.5.0.0/24', []), networkId: 'another' };
  for (let round = 0; round < 5; round++) {
    clock.now += grace;
    later.report({ source: 'drivers', takenAt: clock.now, networks: [driversOnly] });
  }
  assert.equal(allocated(poolId), [one]);
});

test('a pool whose network is gone is freed after the grace period', async () => {
  const { pool, address, report, ledger } = open();
  const poolId = await pool('10.5.0.0/24');
  await address(poolId);
  report([network('10.5.0.0/24', [])]);
  report([], 'engine:b', grace, grace);
  assert.ok(ledger.find(poolId), 'a stranger says nothing about it');
  report([], 'engine:a', grace / 2);
  assert.ok(ledger.find(poolId));
  report([], 'engine:a', grace);
  assert.is(ledger.find(poolId), undefined);
});

test('what is left of a failed network creation is freed; a pool with containers that nobody claims is not', async () => {
  const { pool, address, report, ledger, clock } = open();
  await pool('10.5.0.0/24');
  const half = await pool('10.6.0.0/24');
  await address(half, { isGateway: true });
  await address(half, { address: '10.6.0.9' });
  const strange = await pool('10.7.0.0/24');
  clock.now += 20_000;
  await address(strange);
  report([], 'engine:a', grace, grace);
  assert.is(ledger.pools().length, 3, 'an engine that uses none of our pools says nothing');
  const live = [network('10.5.0.0/24', [])];
  report(live, 'engine:a', grace, grace);
  assert.equal(
    ledger.pools().map((entry) => entry.record.pool),
    ['10.5.0.0/24', '10.7.0.0/24'],
  );
});

test('pools and addresses of lost records are taken in', async () => {
  const { report, ledger, allocated, address, driver } = open();
  const live = network('10.5.0.0/16', ['10.5.5.2', '10.5.5.3'], {
    subPool: '10.5.5.0/24',
    gateway: '10.5.0.1',
    auxiliary: ['10.5.0.9'],
    options: { 'cleat.warn': '50' },
  });
  report([{ ...live, ours: false }]);
  assert.is(ledger.pools().length, 0, 'a network of another IPAM driver is none of ours');
  report([live]);
  const poolId = 'cleat-local/10.5.0.0/16/10.5.5.0/24';
  assert.equal(allocated(poolId), ['10.5.0.1', '10.5.0.9', '10.5.5.2', '10.5.5.3']);
  assert.is(await address(poolId), '10.5.5.1');
  await driver.releaseAddress({ poolId, address: '10.5.5.2' });
  report([live], 'engine:a', 1000);
  assert.equal(
    allocated(poolId),
    ['10.5.0.1', '10.5.0.9', '10.5.5.1', '10.5.5.3'],
    'the engine still lists what it just released',
  );
});

test('a gateway that the engine does not tell is the address on the host, else the one that we would have chosen', () => {
  const { report, allocated, hostAddresses } = open();
  hostAddresses.push('10.5.0.77', '10.8.0.1');
  report([network('10.5.0.0/24', ['10.5.0.2']), { ...network('10.6.0.0/24', ['10.6.0.2']), networkId: 'six' }]);
  assert.equal(allocated('cleat-local/10.5.0.0/24'), ['10.5.0.2', '10.5.0.77']);
  assert.equal(allocated('cleat-local/10.6.0.0/24'), ['10.6.0.1', '10.6.0.2']);
});

test('what was released after a report is not taken in again because of it', async () => {
  const { pool, address, report, allocated, driver, clock } = open();
  const poolId = await pool('10.5.0.0/24');
  const one = await address(poolId);
  report([network('10.5.0.0/24', [one])], 'drivers');
  await driver.releaseAddress({ poolId, address: one });
  clock.now += 2 * grace;
  report([network('10.5.0.0/24', [])], 'engine:a');
  assert.equal(allocated(poolId), [], 'the older report of the drivers still has it');
});

test('a pool that was just given back is not taken in because its network is still listed', async () => {
  const { driver, pool, report, ledger } = open();
  const poolId = await pool('10.5.0.0/24');
  report([network('10.5.0.0/24', [])], 'engine:a', 15_000);
  await driver.releasePool({ poolId });
  report([network('10.5.0.0/24', [])], 'engine:a', 1000);
  assert.is(ledger.find(poolId), undefined);
  assert.is(await pool('10.5.0.0/24'), poolId, 'free for the next network');
  await driver.releasePool({ poolId });
  report([network('10.5.0.0/24', [])], 'engine:a', grace);
  assert.ok(ledger.find(poolId), 'its network has stayed');
});

test('a report from before a pool says nothing about it', async () => {
  const { pool, report, ledger, driver, clock } = open();
  const first = await pool('10.5.0.0/24');
  report([network('10.5.0.0/24', [])], 'drivers');
  await driver.releasePool({ poolId: first });
  clock.now += 1;
  const second = await pool('10.5.0.0/24');
  report([], 'engine:a');
  assert.equal(ledger.find(second)?.record.claims, {});
});

test('both families of a network in one report', async () => {
  const { pool, address, report, allocated } = open();
  const [four, six] = [await pool('10.5.0.0/24'), await pool('fd00:5::/64')];
  const [a, b] = [await address(four), await address(six)];
  const live = { ...network('10.5.0.0/24', [a, b]), pools: [{ pool: '10.5.0.0/24' }, { pool: 'fd00:5::/64' }] };
  report([live], 'engine:a', 20_000, grace);
  assert.equal([allocated(four), allocated(six)], [[a], [b]]);
  report([{ ...live, addresses: [{ address: a }] }], 'engine:a', 20_000, grace);
  assert.equal([allocated(four), allocated(six)], [[a], []]);
});

test('a purge leaves the pools that containers have addresses of', async () => {
  const { pool, address, ledger, clock, report } = open();
  const [used, empty, leaked] = [await pool('10.5.0.0/24'), await pool('10.6.0.0/24'), await pool('10.7.0.0/24')];
  await address(empty, { isGateway: true });
  clock.now += 20_000;
  const live = await address(used);
  await address(leaked);
  clock.now += 20_000;
  report([network('10.5.0.0/24', [live]), { ...network('10.7.0.0/24', []), networkId: 'seven' }]);
  const expected = [
    { kind: 'pool', name: '10.5.0.0/24', kept: '1 of its addresses is in use' },
    { kind: 'pool', name: '10.6.0.0/24' },
    { kind: 'pool', name: '10.7.0.0/24' },
  ];
  assert.equal(purgePools(ledger, true), expected);
  assert.is(ledger.pools().length, 3);
  assert.equal(purgePools(ledger, false), expected);
  assert.equal(
    ledger.pools().map((entry) => entry.poolId),
    [used],
  );
});

test('after a reboot the addresses of containers are free for their owners, gateways stay', async () => {
  const { pool, address, ledger, allocated, log, clock } = open();
  const restart = (bootId: string) =>
    releaseAfterReboot({ ledger, bootId, log, now: () => clock.now, drawUniqueLocal: () => `fd00:${count++}::/48` });
  const first = restart('one');
  const poolId = await pool('10.5.0.0/24');
  await address(poolId, { isGateway: true });
  clock.now += 20_000;
  await address(poolId, { address: '10.5.0.9' });
  assert.is(restart('one'), first);
  assert.equal(allocated(poolId), ['10.5.0.1', '10.5.0.9'], 'the daemon was restarted, the host was not');
  assert.is(restart('two'), first, 'the range is drawn once');
  assert.equal(allocated(poolId), ['10.5.0.1']);
  assert.not.equal(await address(poolId), '10.5.0.9');
  assert.is(await address(poolId, { address: '10.5.0.9' }), '10.5.0.9');
});

test.run();
