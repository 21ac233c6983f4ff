/**
 * cleat-ipam beside a real host: its pools keep out of routes and addresses of every table, and a route that comes later is
 * told.
 *
 *     namespace "host":  lan0 192.0.2.1/24 ── (veth) ── peer0      routes by way of 192.0.2.254, as a VPN would add them
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { addAddress } from '../../plugins/linux/netlink/address.ts';
import { changeLink, createLink, createVeth, getLink } from '../../plugins/linux/netlink/link.ts';
import { addRoute, deleteRoute, type NewRoute } from '../../plugins/linux/netlink/route.ts';
import { RouteSocket } from '../../plugins/linux/netlink/route-socket.ts';
import { createAnonymousNetns, type Netns } from '../../plugins/linux/netns.ts';
import { type Ipam, startIpam } from '../../plugins/network/ipam/ipam.ts';
import type { IpamDriver } from '../../plugins/sdk/ipam-plugin.ts';
import { openStore, type Store } from '../../plugins/store/store.ts';
import { eventually } from '../support/deadline.ts';
import { requires } from '../support/requires.ts';

requires('root');

interface TestHost {
  readonly netns: Netns;
  readonly socket: RouteSocket;
  readonly store: Store;
  readonly ipam: Ipam;
  readonly driver: IpamDriver;
  readonly lan: number;
}

const signal = new AbortController().signal;
const router = '192.0.2.254';
const pools = [
  { base: '10.200.0.0/24', size: 26 },
  { base: 'fd00:200::/62', size: 64 },
];

async function onHost(run: (host: TestHost) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cleat-ipam-host-'));
  using netns = createAnonymousNetns();
  using socket = new RouteSocket(netns);
  socket.apply(
    createVeth({ name: 'lan0', peer: { name: 'peer0' } }),
    changeLink('lan0', { up: true }),
    changeLink('peer0', { up: true }),
  );
  const lan = getLink(socket, 'lan0').index;
  socket.apply(
    addAddress({ link: lan, address: '192.0.2.1/24' }),
    addAddress({ link: lan, address: '2001:db8::1/64', noDad: true }),
  );
  using store = openStore(join(folder, 'test.db'));
  const log = pino({ enabled: false });
  const ipam = startIpam({ store, log, netns, config: { 'default-address-pools': pools } });
  try {
    await run({ netns, socket, store, ipam, driver: ipam.plugin.ipam!, lan });
  } finally {
    ipam.close();
    rmSync(folder, { recursive: true });
  }
}

async function requestPool(driver: IpamDriver, pool?: string, v6 = false) {
  return driver.requestPool({ addressSpace: 'cleat-local', options: {}, v6, ...(pool && { pool }) }, signal);
}

const warnings = (ipam: Ipam): string[] => ipam.status().warnings.map(({ message }) => message);

test('pools avoid routes of any table and addresses, and the pieces of a default route do not count', async () => {
  await onHost(async ({ socket, driver, lan }) => {
    const vpn: NewRoute[] = [
      { destination: '0.0.0.0/1', gateway: router },
      { destination: '128.0.0.0/1', gateway: router },
      { destination: '8.0.0.0/7', gateway: router },
      { destination: '10.200.0.0/27', gateway: router, table: 51820 },
      { destination: '10.200.0.64/26', type: 'blackhole' },
      { destination: '2000::/3', gateway: '2001:db8::fe' },
      { destination: 'fd00:200::/64', gateway: '2001:db8::fe' },
    ];
    socket.apply(...vpn.map(addRoute), addAddress({ link: lan, address: '10.200.0.130/32' }));
    assert.is((await requestPool(driver)).pool, '10.200.0.192/26');
    assert.is((await requestPool(driver, undefined, true)).pool, 'fd00:200:0:1::/64');
    const outcome = await requestPool(driver).then(
      () => 'a pool',
      (error: Error) => error.message,
    );
    assert.match(outcome, /no default IPv4 pool is free/);
    socket.apply(deleteRoute({ destination: '10.200.0.64/26', type: 'blackhole' }));
    assert.is((await requestPool(driver)).pool, '10.200.0.64/26', 'the route is gone');
  });
});

test('a route that comes later is told, and no longer when it goes', async () => {
  await onHost(async ({ socket, driver, ipam }) => {
    const { pool } = await requestPool(driver);
    assert.is(pool, '10.200.0.0/26');
    assert.equal(warnings(ipam), []);
    socket.apply(addRoute({ destination: '10.200.0.0/16', gateway: router }));
    await eventually('the overlap is told', () => warnings(ipam).length === 1);
    assert.match(warnings(ipam)[0]!, /pool 10\.200\.0\.0\/26 overlaps the host's route 10\.200\.0\.0\/16 dev lan0/);
    socket.apply(deleteRoute({ destination: '10.200.0.0/16', gateway: router }));
    await eventually('the overlap is over', () => warnings(ipam).length === 0);
  });
});

test("the network's own bridge is no overlap", async () => {
  await onHost(async ({ socket, driver, ipam }) => {
    const { poolId } = await requestPool(driver);
    const { address } = await driver.requestAddress({ poolId, isGateway: true, serial: false, options: {} }, signal);
    socket.apply(createLink({ name: 'cl-test', kind: 'bridge' }), changeLink('cl-test', { up: true }));
    socket.apply(addAddress({ link: getLink(socket, 'cl-test').index, address }));
    // Something that is told, later than the bridge, shows that the bridge was looked at.
    socket.apply(addRoute({ destination: '10.200.0.5/32', gateway: router }));
    await eventually('the strange route is told', () => warnings(ipam).length === 1);
    assert.match(warnings(ipam)[0]!, /route 10\.200\.0\.5\/32 dev lan0/);
  });
});

test('a pool that the user put over a route of the host is no news, another route is', async () => {
  await onHost(async ({ socket, driver, ipam }) => {
    await requestPool(driver, '192.0.2.0/24');
    socket.apply(addRoute({ destination: '192.0.2.128/25', gateway: router }));
    await eventually('the new route is told', () => warnings(ipam).length === 1);
    assert.match(warnings(ipam)[0]!, /route 192\.0\.2\.128\/25/);
  });
});

test.run();
