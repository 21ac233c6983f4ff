import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginError } from '../../sdk/errors.ts';
import type { RequestAddressRequest, RequestPoolRequest } from '../../sdk/ipam-plugin.ts';
import { openStore } from '../../store/store.ts';
import { parseCidr } from '../address/cidr.ts';
import { CleatIpam, containerNameOption } from './driver.ts';
import type { HostBlock } from './host-blocks.ts';
import { Ledger } from './ledger.ts';
import { type IpamConfig, parseIpamConfig } from './options.ts';

const folder = mkdtempSync(join(tmpdir(), 'cleat-ipam-'));
let count = 0;

/** A driver on a real store that is thrown away; `again` reads the same file as a new process would. */
function open(config: Record<string, unknown> = {}, file = join(folder, `${count++}.db`)) {
  const parsed: IpamConfig = parseIpamConfig({
    'default-address-pools': [
      { base: '10.200.0.0/24', size: 26 },
      { base: 'fd00:20::/48', size: 64 },
    ],
    ...config,
  });
  const store = openStore(file);
  const ledger = new Ledger(store, () => parsed);
  const host: HostBlock[] = [];
  const clock = { now: 1_000_000 };
  const driver = new CleatIpam({
    ledger,
    config: () => parsed,
    hostBlocks: () => host,
    now: () => clock.now,
    onUse: () => {},
  });
  const again = () => {
    store.close();
    return open(config, file);
  };
  const hostRoute = (cidr: string): void => {
    host.push({ cidr: parseCidr(cidr), text: `route ${cidr} dev tun0` });
  };
  const pool = (given: Partial<RequestPoolRequest> = {}) =>
    driver.requestPool({ addressSpace: 'cleat-local', options: {}, v6: false, ...given });
  const address = async (poolId: string, given: Partial<RequestAddressRequest> = {}) =>
    (await driver.requestAddress({ poolId, isGateway: false, serial: false, options: {}, ...given })).address;
  return { driver, ledger, store, clock, again, hostRoute, pool, address };
}

async function refused(what: Promise<unknown>): Promise<string> {
  try {
    await what;
  } catch (error) {
    assert.instance(error, PluginError);
    return error instanceof PluginError ? error.line : '';
  }
  return assert.unreachable('was not refused') as never;
}

test.after(() => rmSync(folder, { recursive: true }));

test('each pool without a wish is another one, until none is left', async () => {
  const { driver, pool, hostRoute } = open();
  hostRoute('10.200.0.64/26');
  const pools = [await pool(), await pool(), await pool()].map((reply) => reply.pool);
  assert.equal(pools, ['10.200.0.0/26', '10.200.0.128/26', '10.200.0.192/26']);
  assert.match(
    await refused(pool()),
    /no default IPv4 pool is free.*10\.200\.0\.0\/24 in blocks of \/26.*IPAM_POOLS_EXHAUSTED/,
  );
  await driver.releasePool({ poolId: 'cleat-local/10.200.0.128/26' });
  assert.is((await pool()).pool, '10.200.0.128/26');
  assert.is((await pool({ v6: true })).pool, 'fd00:20::/64');
  assert.is((await pool({ v6: true })).pool, 'fd00:20:0:1::/64');
});

test('a size can be asked for', async () => {
  const { pool } = open();
  assert.is((await pool({ options: { 'cleat.size': '25' } })).pool, '10.200.0.0/25');
  assert.is((await pool({ options: { 'cleat.size6': '80' }, v6: true })).pool, 'fd00:20::/80');
  assert.match(
    await refused(pool({ options: { 'cleat.siz': '25' } })),
    /did you mean "cleat\.size"\?.*PROTO_OPTION_UNKNOWN/,
  );
  assert.match(await refused(pool({ options: { 'cleat.size': '40' } })), /whole number from 8 to 30.*PROTO_OPTION/);
});

test('named pools must be free, of the family and unicast', async () => {
  const { pool, ledger } = open();
  assert.equal(await pool({ pool: '10.1.0.5/16', subPool: '10.1.5.0/24' }), {
    poolId: 'cleat-local/10.1.0.0/16/10.1.5.0/24',
    pool: '10.1.0.0/16',
  });
  const entry = ledger.pools()[0]!;
  ledger.replacePool(entry, { ...entry.record, claims: { 'engine:x': { networkId: 'abc', networkName: 'web' } } });
  assert.match(
    await refused(pool({ pool: '10.1.2.0/24' })),
    /10\.1\.2\.0\/24 overlaps 10\.1\.0\.0\/16 of network web.*IPAM_POOL_OVERLAP/,
  );
  assert.match(
    await refused(pool({ pool: '10.1.0.0/16', subPool: '10.1.5.0/24' })),
    /IPAM_POOL_OVERLAP/,
    'the same again',
  );
  assert.ok((await pool({ pool: '10.1.0.0/16', addressSpace: 'cleat-global' })).poolId.startsWith('cleat-global/'));
  const wrong: Partial<RequestPoolRequest>[] = [
    { pool: '10.2.0.0/16', subPool: '10.3.0.0/24' },
    { pool: '10.2.0.0/16', v6: true },
    { pool: 'fd00::/64' },
    { pool: '224.0.0.0/8' },
    { pool: '127.0.0.0/8' },
    { pool: '0.0.0.0/0' },
    { pool: 'ff02::/16', v6: true },
    { pool: '::/0', v6: true },
    { pool: '10.2.0.0' },
    { pool: 'all' },
    { subPool: '10.2.0.0/24' },
  ];
  for (const request of wrong) assert.match(await refused(pool(request)), /IPAM_POOL_INVALID/, JSON.stringify(request));
  assert.match(await refused(pool({ addressSpace: 'elsewhere' })), /IPAM_ADDRESS_SPACE/);
});

test('routes that a named pool overlaps from the start are remembered', async () => {
  const { pool, ledger, hostRoute } = open();
  hostRoute('192.168.1.0/24');
  await pool({ pool: '192.168.1.0/24' });
  assert.equal(ledger.pools()[0]!.record.knownOverlaps, ['route 192.168.1.0/24 dev tun0']);
});

test('the life of a network: gateway, auxiliary, containers', async () => {
  const { driver, pool, address } = open();
  const { poolId } = await pool({ pool: '10.5.0.0/24' });
  assert.is(await address(poolId, { isGateway: true }), '10.5.0.1/24');
  assert.is(await address(poolId, { address: '10.5.0.9' }), '10.5.0.9/24');
  assert.is(await address(poolId), '10.5.0.2/24');
  assert.match(await refused(address(poolId, { address: '10.5.0.9' })), /10\.5\.0\.9 .* in use.*IPAM_ADDRESS_IN_USE/);
  assert.match(await refused(address(poolId, { address: '10.6.0.9' })), /IPAM_ADDRESS_OUTSIDE/);
  assert.match(await refused(address(poolId, { address: 'fd00::9' })), /IPAM_ADDRESS_OUTSIDE/);
  assert.match(await refused(address(poolId, { address: 'x' })), /NET_ADDRESS_INVALID/);
  for (const released of ['10.5.0.2', '10.5.0.2', '10.5.0.77', 'x', 'fd00::1'])
    await driver.releaseAddress({ poolId, address: released });
  await driver.releaseAddress({ poolId: 'nothing', address: '10.5.0.2' });
  assert.is(await address(poolId), '10.5.0.3/24');
  await driver.releasePool({ poolId });
  await driver.releasePool({ poolId });
  assert.match(await refused(address(poolId)), /IPAM_POOL_UNKNOWN/);
  assert.match(await refused(address('x'.repeat(5000))), /^.{1,400}$/);
});

test('everything is as it was after a new start, and the search goes on behind the last address', async () => {
  const before = open();
  const { poolId } = await before.pool({ pool: '10.5.0.0/29' });
  await before.address(poolId, { isGateway: true });
  const [web, gone] = [
    await before.address(poolId, { options: { [containerNameOption]: 'web' } }),
    await before.address(poolId),
  ];
  for (const each of [web, gone]) await before.driver.releaseAddress({ poolId, address: each.split('/')[0]! });
  const after = before.again();
  assert.equal(
    after.ledger.pools().map((entry) => entry.record),
    before.ledger.pools().map((entry) => entry.record),
  );
  assert.equal(
    [...after.ledger.find(poolId)!.pool.entries()].sort(),
    [...before.ledger.find(poolId)!.pool.entries()].sort(),
  );
  assert.is(await after.address(poolId), '10.5.0.4/29');
  assert.is(await after.address(poolId, { options: { [containerNameOption]: 'web' } }), web);
  assert.match(await refused(after.pool({ pool: '10.5.0.0/29' })), /IPAM_POOL_OVERLAP/);
});

test('forgotten addresses leave the disk too', async () => {
  const { driver, pool, address, clock, store } = open({ quarantine: '1m' });
  const { poolId } = await pool({ pool: '10.5.0.0/24' });
  const records = () => store.rows('SELECT key FROM records WHERE tbl = ?', 'ipam-address').length;
  const given = [await address(poolId), await address(poolId), await address(poolId)];
  for (const each of given) await driver.releaseAddress({ poolId, address: each.split('/')[0]! });
  assert.is(records(), 3);
  clock.now += 60_000;
  await address(poolId);
  assert.is(records(), 1);
  await driver.releasePool({ poolId });
  assert.is(records(), 0);
});

test('replay: the same pool and the same addresses, and nothing twice', async () => {
  const { driver, pool, address } = open({ 'request-replay': true });
  assert.ok(driver.capabilities.requiresRequestReplay);
  const wish = { pool: '10.5.0.0/24', subPool: '10.5.0.128/25' };
  const first = await pool(wish);
  const gateway = await address(first.poolId, { isGateway: true });
  const container = await address(first.poolId);
  assert.equal(await pool(wish), first);
  assert.is(await address(first.poolId, { isGateway: true, address: gateway.split('/')[0]! }), gateway);
  assert.is(await address(first.poolId, { address: container.split('/')[0]! }), container);
  assert.match(await refused(address(first.poolId, { address: container.split('/')[0]! })), /IPAM_ADDRESS_IN_USE/);
  assert.match(
    await refused(pool({ pool: '10.5.0.0/24' })),
    /IPAM_POOL_OVERLAP/,
    'another sub-pool is another network',
  );
});

test('without names, a MAC brings the address back when it is asked for', async () => {
  const { driver, pool, address } = open({ 'require-mac': true });
  assert.ok(driver.capabilities.requiresMacAddress);
  const { poolId } = await pool({ pool: '10.5.0.0/24' });
  const first = await address(poolId, { macAddress: '02:00:5E:00:53:01' });
  await driver.releaseAddress({ poolId, address: first.split('/')[0]! });
  assert.is.not(await address(poolId, { macAddress: '02:00:5e:00:53:02' }), first);
  assert.is(await address(poolId, { macAddress: '02:00:5e:00:53:01' }), first);
});

test('concurrent requests get different addresses', async () => {
  const { pool, address } = open();
  const { poolId } = await pool({ pool: '10.5.0.0/24' });
  const given = await Promise.all(Array.from({ length: 254 }, () => address(poolId)));
  assert.is(new Set(given).size, 254);
  assert.match(await refused(address(poolId)), /all 254 of 10\.5\.0\.1 to 10\.5\.0\.254 are in use.*IPAM_POOL_FULL/);
});

test('a request that cannot be recorded changes nothing', async () => {
  const { pool, address, store, ledger } = open();
  const { poolId } = await pool({ pool: '10.5.0.0/24' });
  store.close();
  await refusedByStore(address(poolId));
  assert.is(ledger.find(poolId)!.pool.used, 0);
  await refusedByStore(pool());
  assert.is(ledger.pools().length, 1);
});

/** Texts that look like something: cut, joined and mixed with the hostile. */
const texts = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.ipV4(),
  fc.ipV6(),
  fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: -1, max: 200 })).map(([ip, length]) => `${ip}/${length}`),
  fc.constantFrom(
    '',
    '10.5.0.0/24',
    '10.5.0.7',
    'cleat-local/10.5.0.0/24',
    '__proto__',
    '../../etc',
    'a b',
    '\0',
    '10.5.0.0/24\n',
    '१०.5.0.1',
    "' OR 1=1",
  ),
);

test('whatever is asked is answered or refused with a code, and a refusal changes nothing', async () => {
  const { driver, pool, ledger } = open();
  const { poolId } = await pool({ pool: '10.5.0.0/24' });
  const maybe = fc.option(texts, { nil: undefined });
  const records = fc.dictionary(texts, texts, { maxKeys: 2 });
  const calls = fc.oneof(
    fc
      .record({ addressSpace: texts, pool: maybe, subPool: maybe, options: records, v6: fc.boolean() })
      .map((request) => () => driver.requestPool(request as RequestPoolRequest)),
    fc
      .record({
        poolId: fc.oneof(texts, fc.constant(poolId)),
        address: maybe,
        isGateway: fc.boolean(),
        macAddress: maybe,
        serial: fc.boolean(),
        options: records,
      })
      .map((request) => () => driver.requestAddress(request as RequestAddressRequest)),
    fc
      .record({ poolId: fc.oneof(texts, fc.constant(poolId)), address: texts })
      .map((request) => () => driver.releaseAddress(request)),
  );
  const state = () =>
    JSON.stringify(ledger.pools().map((entry) => [entry.poolId, [...entry.pool.entries()].map(String)]));
  await fc.assert(
    fc.asyncProperty(calls, async (call) => {
      const before = state();
      try {
        await call();
      } catch (error) {
        assert.instance(error, PluginError);
        assert.is(state(), before);
      }
    }),
    { numRuns: 400 },
  );
});

async function refusedByStore(what: Promise<unknown>): Promise<void> {
  const outcome = await what.then(
    () => 'answered',
    () => 'failed',
  );
  assert.is(outcome, 'failed');
}

test.run();
