/**
 * Names on ipvlan, which not every kernel has: the driver makes the links, the DNS server answers inside the sandboxes, and what a
 * name resolves to is where the traffic goes.
 *
 *     box1 (one) ─┐
 *     box2 (two) ─┤ ipvlan l2 on e0 ══ veth ══ e1: namespace "neighbour"
 *     box3 (two) ─┘
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { Registry } from 'prom-client';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { RouteSocket, runCommand } from '../../plugins/linux/index.ts';
import { moveIn, setDefaultRoutes } from '../../plugins/linux/sandbox-link.ts';
import { dnsServiceOptions } from '../../plugins/network/dns/options.ts';
import { startDns } from '../../plugins/network/dns/start.ts';
import { ipvlan } from '../../plugins/network/ipvlan/kind.ts';
import { AddressGuard } from '../../plugins/network/neighbour/address-guard.ts';
import { NetworkRegistry } from '../../plugins/network/registry.ts';
import { openStore } from '../../plugins/store/store.ts';
import { eventually } from '../support/deadline.ts';
import { requiresOrGuest } from '../support/guest.ts';
import { makeLanDriver } from '../support/lan-driver.ts';

await requiresOrGuest('test/integration/dns-ipvlan.test.ts', 'root', 'ipvlan');

const never = new AbortController().signal;
const sh = async (script: string): Promise<string> =>
  (await runCommand('sh', ['-c', script], { timeoutMs: 30_000 })).stdout.trim();

/** `dig +short` in a box, sorted. */
const dig = async (box: string, args: string): Promise<string> =>
  (await sh(`ip netns exec ${box} dig +short +tries=1 +time=2 @127.0.0.11 ${args} || true`))
    .split('\n')
    .sort()
    .join(' ');

test('containers on ipvlan find each other by name, and reach what they found', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cleat-ipvlan-'));
  await sh(`ip netns add neighbour; for n in box1 box2 box3; do ip netns add $n; ip -n $n link set lo up; done
    ip link add e0 type veth peer name e1; ip link set e1 netns neighbour; ip link set e0 up
    ip -n neighbour link set e1 up; ip -n neighbour addr add 192.0.2.9/24 dev e1`);
  const store = openStore(join(folder, 'db'));
  const socket = new RouteSocket();
  const registry = new NetworkRegistry();
  const log = pino({ level: 'silent' });
  const guard = new AddressGuard({ log, defend: () => {} });
  const driver = makeLanDriver(ipvlan, { store, socket, registry, services: dnsServiceOptions, guard });
  const resolvConf = join(folder, 'resolv.conf');
  writeFileSync(resolvConf, 'nameserver 127.0.0.11\n');
  const dns = startDns(
    {
      config: { engines: [], dns: { resolvConf: '/dev/null' } },
      runDir: folder,
      stateDir: folder,
      pluginDir: folder,
      log,
      registry: new Registry(),
    },
    registry,
  );
  const networkId = 'a'.repeat(64);
  const ports = { exposedPorts: [], portBindings: [] };
  await driver.createNetwork({
    networkId,
    options: { parent: 'e0', 'cleat.dns.domain': 'lan.internal' },
    enableIPv4: true,
    enableIPv6: false,
    internal: false,
    ipv4: [{ addressSpace: '', pool: '192.0.2.0/24', auxAddresses: {} }],
    ipv6: [],
  });
  const boxes = [
    { box: 'box1', address: '192.0.2.11/24', options: { 'cleat.name': 'one' } },
    { box: 'box2', address: '192.0.2.12/24', options: { 'cleat.name': 'two', 'cleat.alias': 'search' } },
    { box: 'box3', address: '192.0.2.13/24', options: { 'cleat.name': 'three', 'cleat.alias': 'search' } },
  ];
  const endpoints = new Map<string, string>();
  for (const [index, { box, address, options }] of boxes.entries()) {
    const endpointId = String(index + 1).repeat(64);
    const filled = await driver.createEndpoint(
      { networkId, endpointId, interface: { address }, options, ...ports },
      never,
    );
    const sandboxKey = `/run/netns/${box}`;
    const reply = await driver.join({ networkId, endpointId, sandboxKey, options: {}, ...ports });
    moveIn(sandboxKey, {
      ...reply.interfaceName,
      ...filled,
      addresses: [address],
      staticRoutes: reply.staticRoutes ?? [],
    });
    setDefaultRoutes(sandboxKey, reply);
    endpoints.set(box, endpointId);
  }
  try {
    for (const { box } of boxes) {
      await eventually(`${box} has a resolver`, async () => (await dig(box, 'one')) === '192.0.2.11');
    }
    assert.is(await dig('box1', 'search'), '192.0.2.12 192.0.2.13');
    assert.is(await dig('box1', '+tcp two.lan.internal'), '192.0.2.12');
    assert.is(await dig('box2', '-x 192.0.2.13'), 'three.lan.internal.');
    // The box's own resolver, by its resolv.conf; the answer is where the packets go.
    const ping = (box: string, name: string): Promise<string> =>
      sh(
        `ip netns exec ${box} sh -c 'mount --bind ${resolvConf} /etc/resolv.conf; ping -c1 -W2 ${name} 2>&1' | head -2 || true`,
      );
    assert.match(await ping('box1', 'two'), /\(192\.0\.2\.12\)[\s\S]*bytes from/);
    assert.match(await ping('box3', 'one.lan.internal'), /\(192\.0\.2\.11\)[\s\S]*bytes from/);
    await driver.leave({ networkId, endpointId: endpoints.get('box2') ?? '' });
    assert.is(await dig('box1', 'search'), '192.0.2.13', 'gone from the next answer');
    assert.is(await dig('box1', 'two'), '');
  } finally {
    await dns.close();
    for (const endpointId of endpoints.values()) await driver.deleteEndpoint({ networkId, endpointId });
    await driver.deleteNetwork({ networkId });
    assert.is(await sh('ip netns exec box1 ss -Hlnu'), '', 'nothing is left in a sandbox');
    await sh('for n in neighbour box1 box2 box3; do ip netns del $n; done');
    guard.close();
    socket.close();
    store.close();
    rmSync(folder, { recursive: true });
  }
});

test.run();
