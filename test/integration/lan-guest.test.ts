/**
 * ipvlan and VLANs, which not every kernel has: the drivers against the kernel, with the engine's half done here.
 *
 *     own namespace: e0, e0.10 ══ veth ══ e1, e1.10: namespace "neighbour"
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RouteSocket, runCommand } from '../../plugins/linux/index.ts';
import { moveIn, setDefaultRoutes } from '../../plugins/linux/sandbox-link.ts';
import { ipvlan } from '../../plugins/network/ipvlan/kind.ts';
import type { LanDriver, LanKind } from '../../plugins/network/lan/driver.ts';
import { parentName } from '../../plugins/network/lan/parent.ts';
import { macvlan } from '../../plugins/network/macvlan/kind.ts';
import { AddressGuard } from '../../plugins/network/neighbour/address-guard.ts';
import { openStore, type Store } from '../../plugins/store/store.ts';
import { requiresOrGuest } from '../support/guest.ts';
import { makeLanDriver } from '../support/lan-driver.ts';

await requiresOrGuest('test/integration/lan-guest.test.ts', 'root', 'ipvlan', 'vlan', 'dummy', 'macvlan');

interface Context {
  folder: string;
  store: Store;
  socket: RouteSocket;
  guard: AddressGuard;
  drivers: LanDriver[];
}

const test = suite<Context>('drivers on the LAN');
const never = new AbortController().signal;
const sh = async (script: string) => (await runCommand('sh', ['-c', script], { timeoutMs: 20_000 })).stdout;
const links = () => sh("ip -o link | awk -F'[ :@]+' '{print $2}' | sort | tr '\\n' ' '");

test.before.each(async (context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'cleat-lan-'));
  context.store = openStore(join(context.folder, 'db'));
  context.socket = new RouteSocket();
  context.drivers = [];
  context.guard = new AddressGuard({ log: { warn: () => {} }, defend: () => {} });
  await sh(`ip netns add neighbour; ip netns add box1; ip netns add box2
    ip link add e0 type veth peer name e1; ip link set e1 netns neighbour; ip link set e0 up
    ip -n neighbour link set lo up; ip -n neighbour link set e1 up; ip -n neighbour addr add 192.0.2.9/24 dev e1
    ip -n neighbour link add link e1 name e1.10 type vlan id 10; ip -n neighbour link set e1.10 up; ip -n neighbour addr add 198.51.100.9/24 dev e1.10
    ip -n neighbour addr add 2001:db8::9/64 dev e1 nodad; ip -n neighbour addr add 2001:db8:a::9/64 dev e1.10 nodad
    ip addr add 192.0.2.2/24 dev e0; ip addr add 2001:db8::2/64 dev e0 nodad
    ip -n neighbour route add 203.0.113.0/24 via 192.0.2.2; ip -n neighbour route add 2001:db8:b::/64 via 2001:db8::2
    for n in box1 box2; do ip -n $n link set lo up; done`);
});

test.after.each(async ({ folder, store, socket, guard }) => {
  guard.close();
  await sh(
    'for n in neighbour box1 box2; do ip netns del $n; done; for i in $(ip -o link | grep -oE "e0[.0-9]*|cd-[0-9a-f]+" | sort -ru); do ip link del $i 2>/dev/null || true; done',
  );
  socket.close();
  store.close();
  rmSync(folder, { recursive: true });
});

function driverOf(kind: LanKind, context: Context): LanDriver {
  const { store, socket, guard } = context;
  const driver = makeLanDriver(kind, {
    store,
    socket,
    guard,
    parentUsers: (parent, except) =>
      context.drivers
        .flatMap((one) => one.networks())
        .filter(({ wish, record }) => parentName(wish) === parent && record.networkId !== except)
        .map(({ record, mode }) => ({ networkId: record.networkId, mode })),
  });
  context.drivers.push(driver);
  return driver;
}

/** `pools`: IPv4, and IPv6 behind a comma. */
async function network(
  driver: LanDriver,
  digit: string,
  pools: string,
  options: Record<string, string>,
  internal = false,
): Promise<string> {
  const networkId = digit.repeat(64);
  const [v4 = '', v6] = pools.split(',');
  await driver.createNetwork({
    networkId,
    options,
    enableIPv4: true,
    enableIPv6: v6 !== undefined,
    internal,
    ipv4: [{ addressSpace: '', pool: v4, auxAddresses: {} }],
    ipv6: v6 === undefined ? [] : [{ addressSpace: '', pool: v6, auxAddresses: {} }],
  });
  return networkId;
}

/** The engine's half: endpoint, join, the link into the sandbox. */
async function attach(
  driver: LanDriver,
  networkId: string,
  digit: string,
  addresses: string,
  box: string,
): Promise<string> {
  const ids = { networkId, endpointId: digit.repeat(64) };
  const ports = { exposedPorts: [], portBindings: [] };
  const [address = '', addressIPv6] = addresses.split(',');
  const wanted = { address, ...(addressIPv6 !== undefined && { addressIPv6 }) };
  const filled = await driver.createEndpoint({ ...ids, interface: wanted, options: {}, ...ports }, never);
  const reply = await driver.join({ ...ids, sandboxKey: `/run/netns/${box}`, options: {}, ...ports });
  moveIn(`/run/netns/${box}`, {
    ...reply.interfaceName,
    ...filled,
    addresses: addresses.split(','),
    staticRoutes: reply.staticRoutes ?? [],
  });
  setDefaultRoutes(`/run/netns/${box}`, reply);
  return ids.endpointId;
}

const ping = (box: string, address: string) =>
  `ip netns exec ${box} ping -c1 -W2 ${address} >/dev/null 2>&1 && { echo yes; exit; }`;
const reaches = (box: string, address: string) =>
  sh(`for i in 1 2 3 4; do ${ping(box, address)}; done; echo no`).then((out) => out.trim());
/** Asked once, after something else has been reached. */
const misses = (box: string, address: string) =>
  sh(`${ping(box, address)}; echo no`).then((out) => out.trim() === 'no');

test('ipvlan l2 over a VLAN that is made, shared, and removed with its last network', async (context) => {
  const driver = driverOf(ipvlan, context);
  const one = await network(driver, 'a', '198.51.100.0/25', { parent: 'e0.10' });
  const two = await network(driver, 'b', '198.51.100.128/25', { parent: 'e0.10' });
  assert.match(await links(), /e0\.10 /);
  const endpoint = await attach(driver, one, '1', '198.51.100.11/24', 'box1');
  assert.is(await reaches('box1', '198.51.100.9'), 'yes', 'tagged');
  assert.ok(await misses('box1', '192.0.2.9'), 'nothing untagged');
  await attach(driver, two, '2', '198.51.100.11/24', 'box2').then(assert.unreachable, (error: Error) =>
    assert.match(error.message, /198\.51\.100\.11 is in use on this host, by the endpoint 1{12} of the network a{12}/),
  );
  await driver.deleteEndpoint({ networkId: one, endpointId: endpoint });
  await driver.deleteNetwork({ networkId: one });
  assert.match(await links(), /e0\.10 /, 'the other network still uses it');
  await driver.deleteNetwork({ networkId: two });
  assert.not.match(await links(), /e0\.10 /);
});

test('macvlan on a VLAN that was there before: tagged only, and the VLAN stays', async (context) => {
  await sh('ip link add link e0 name e0.10 type vlan id 10; ip link set e0.10 up');
  const driver = driverOf(macvlan, context);
  const id = await network(driver, 'a', '198.51.100.0/24,2001:db8:a::/64', { parent: 'e0.10' });
  await attach(driver, id, '1', '198.51.100.11/24,2001:db8:a::11/64', 'box1');
  for (const address of ['198.51.100.9', '2001:db8:a::9']) assert.is(await reaches('box1', address), 'yes', address);
  assert.ok(await misses('box1', '192.0.2.9'), 'nothing untagged');
  await driver.deleteNetwork({ networkId: id });
  assert.match(await links(), /e0\.10 /);
});

/** New ones: what a driver has put into them stays until then, and a link some time longer than its namespace. */
const emptyBoxes = () =>
  sh(
    'for n in box1 box2; do ip -n $n link del eth0 2>/dev/null || true; ip netns del $n; ip netns add $n; ip -n $n link set lo up; done',
  );

test('ipvlan modes: l3 and l3s route by the link, private and vepa keep containers apart, a second mode is refused', async (context) => {
  const driver = driverOf(ipvlan, context);
  const routed = '203.0.113.0/24,2001:db8:b::/64';
  const id = await network(driver, 'a', routed, { parent: 'e0', ipvlan_mode: 'l3' });
  await attach(driver, id, '1', '203.0.113.11/24,2001:db8:b::11/64', 'box1');
  await attach(driver, id, '2', '203.0.113.12/24,2001:db8:b::12/64', 'box2');
  for (const address of ['203.0.113.12', '2001:db8:b::12', '192.0.2.9', '2001:db8::9'])
    assert.is(await reaches('box1', address), 'yes', address);
  for (const address of ['203.0.113.11', '2001:db8:b::11'])
    assert.is(await reaches('neighbour', address), 'yes', address);
  assert.match(await sh('ip -n box1 route'), /default dev eth0 (proto static )?scope link/);
  try {
    await network(driver, 'b', '203.0.113.0/24', { parent: 'e0', ipvlan_mode: 'l2' });
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /serves the network aaaaaaaaaaaa in mode l3/);
  }
  await driver.deleteNetwork({ networkId: id });
  await emptyBoxes();
  const natted = await network(driver, 'b', routed, { parent: 'e0', ipvlan_mode: 'l3s' });
  await attach(driver, natted, '3', '203.0.113.11/24,2001:db8:b::11/64', 'box1');
  assert.is(await reaches('box1', '192.0.2.9'), 'yes', 'l3s');
  await driver.deleteNetwork({ networkId: natted });
  for (const flag of ['private', 'vepa']) {
    await emptyBoxes();
    const apart = await network(driver, 'c', '192.0.2.0/24', { parent: 'e0', ipvlan_flag: flag });
    await attach(driver, apart, '4', '192.0.2.13/24', 'box1');
    await attach(driver, apart, '5', '192.0.2.14/24', 'box2');
    assert.is(await reaches('box1', '192.0.2.9'), 'yes', flag);
    // With vepa by way of a switch that sends back, which this wire has not.
    assert.ok(await misses('box1', '192.0.2.14'), flag);
    await driver.deleteNetwork({ networkId: apart });
  }
});

test('one parent serves macvlan or ipvlan, and the answer comes before the kernel says EBUSY', async (context) => {
  const first = driverOf(ipvlan, context);
  const id = await network(first, 'a', '192.0.2.0/24', { parent: 'e0' });
  await attach(first, id, '1', '192.0.2.11/24', 'box1');
  await sh('ip link add iv0 link e0 type ipvlan mode l2');
  try {
    await network(driverOf(macvlan, context), 'b', '203.0.113.0/24', { parent: 'e0' });
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, 'NET_PARENT_TAKEN');
  }
  await sh('ip link del iv0');
  await first.deleteNetwork({ networkId: id });
});

test('an internal network without a parent has a link without a wire', async (context) => {
  const driver = driverOf(macvlan, context);
  const id = await network(driver, 'a', '192.0.2.0/24', {}, true);
  assert.match(await links(), /cd-aaaaaaaaaaaa/);
  await attach(driver, id, '1', '192.0.2.11/24', 'box1');
  await attach(driver, id, '2', '192.0.2.12/24', 'box2');
  assert.is(await reaches('box1', '192.0.2.12'), 'yes');
  await driver.deleteNetwork({ networkId: id });
  assert.not.match(await links(), /cd-/);
});

test.run();
