/**
 * cleat-dhcp under real engines and servers of three makes, one after the other on one segment.
 *
 *     neighbour 192.0.2.1, 2001:db8::1: DHCP, DNS ── segment ── eth0 of two hosts: engine, cleat-networkd, containers
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Daemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type DhcpMake, type DhcpServer, dhcpServer } from '../support/dhcp-server.ts';
import { requires } from '../support/requires.ts';
import {
  containerReaches,
  type Docker,
  hostReaches,
  type Lan,
  type LanHost,
  refused,
  removeAll,
  startLan,
  startShimOn,
} from './lan-scene.ts';

requires('root', 'macvlan', 'veth', 'engine-20.10', 'engine-28', 'overlayfs', 'program:conmon');
requires('program:dnsmasq', 'program:dhcpd');

let lan: Lan;
let older: LanHost;
let newer: LanHost;
let server: DhcpServer | undefined;

test.before(async () => {
  lan = await startLan(['20.10', '28']);
  [older, newer] = lan.hosts as [LanHost, LanHost];
  // A name server that has all of example.org itself.
  lan.neighbour.start('dnsmasq', [
    ...['--keep-in-foreground', '--no-resolv', '--no-hosts', '--user=root', '--no-dhcp-interface=eth0', '--pid-file='],
    ...['--local=/example.org/', '--host-record=printer.example.org,192.0.2.200'],
  ]);
});

test.after.each(async () => {
  for (const at of lan.hosts) await removeAll(at);
  await server?.stop();
});

test.after(() => lan.close());

const onLan = ['-d', 'cleat-macvlan', '-o', 'parent=eth0', '--ipam-driver', 'cleat-dhcp', '--ipam-opt', 'parent=eth0'];
const both = ['--subnet', '192.0.2.0/24', '--ipv6', '--subnet', '2001:db8::/64'];
const create = (docker: Docker, ...subnets: string[]) => docker('network', 'create', ...onLan, ...subnets, 'lan');

async function startServer(make: DhcpMake): Promise<DhcpServer> {
  server = dhcpServer(lan.neighbour, make);
  await server.start();
  return server;
}

interface Lease {
  readonly address: string;
  readonly container?: string;
}

const leasesOf = async (daemon: Daemon): Promise<readonly Lease[]> =>
  JSON.parse(await daemon.cleat('status', '--json', 'leases')).leases;

/** IPv4, IPv6. */
async function addressesOf(docker: Docker, name: string): Promise<readonly [string, string]> {
  const { IPAddress, GlobalIPv6Address } = JSON.parse(await docker('inspect', name))[0].NetworkSettings.Networks.lan;
  return [IPAddress, GlobalIPv6Address];
}

for (const make of ['dnsmasq', 'dhcpd'] as const) {
  const version = make === 'dnsmasq' ? '20.10' : '28';
  test(`Docker ${version} with ${make}: leases of both families are got, used, kept over restarts, and given back`, async () => {
    const at = version === '28' ? newer : older;
    const { daemon, engine, docker } = at;
    const dhcp = await startServer(make);
    // The subnet has to be named, and the answer names it; the router is the server's.
    assert.match(
      await create(docker).catch((error: Error) => error.message),
      /serves 192\.0\.2\.0\/24; give --subnet 192\.0\.2\.0\/24/,
    );
    await create(docker, ...both);
    // One with a MAC address of its own, by the API: the docker command is too new to give one to an engine of 20.10.
    const mac = '02:00:5e:00:53:11';
    const run = { Image: 'busybox', Cmd: ['sleep', '1000'], MacAddress: mac, HostConfig: { NetworkMode: 'lan' } };
    const made = await engine.api('POST', '/v1.41/containers/create?name=fixed', run);
    assert.is(made.status, 201, JSON.stringify(made));
    await docker('start', 'fixed');
    await docker('run', '-d', '--name', 'plain', '--network', 'lan', 'busybox', 'sleep', '1000');
    const addresses = { fixed: await addressesOf(docker, 'fixed'), plain: await addressesOf(docker, 'plain') };
    for (const [ipv4, ipv6] of Object.values(addresses)) {
      assert.match(ipv4, /^192\.0\.2\.[5-9][0-9]$/);
      assert.match(ipv6, /^2001:db8::[5-9][0-9a-f]$/);
      await eventually(`the server reaches ${ipv4}`, () => hostReaches(lan.neighbour, ipv4));
      await eventually(`the server reaches ${ipv6}`, () => hostReaches(lan.neighbour, ipv6));
    }
    assert.match(await docker('exec', 'fixed', 'ip', 'route'), /default via 192\.0\.2\.1/);
    assert.match(await docker('exec', 'fixed', 'ip', 'link', 'show', 'eth0'), /mtu 1400/, 'the MTU of the lease');
    await eventually('a name that only the name server of the lease knows', async () =>
      /192\.0\.2\.200/.test(await docker('exec', 'fixed', 'nslookup', 'printer.example.org')),
    );
    assert.equal((await leasesOf(daemon)).map(({ address }) => address).sort(), Object.values(addresses).flat().sort());
    // The engine tells names by its API only; then the server hears of them.
    await eventually('names at the server', async () => {
      const known = await dhcp.leases();
      return /\bfixed\b/.test(known) && /\bplain\b/.test(known);
    });

    // A restart keeps the addresses; so do a new daemon, and an engine that starts again.
    await docker('restart', '-t', '0', 'fixed');
    await docker('restart', '-t', '0', 'plain');
    const kept = async (when: string) => {
      for (const name of ['fixed', 'plain'] as const)
        assert.equal(await addressesOf(docker, name), addresses[name], `${name} after ${when}`);
    };
    await kept('a restart');
    await eventually('the engine has told of them', async () =>
      (await leasesOf(daemon)).every(({ container }) => container !== undefined),
    );
    await engine.stop();
    await daemon.kill();
    await daemon.start();
    await engine.start();
    await docker('start', 'fixed', 'plain');
    await kept('a start of everything');
    assert.ok(await containerReaches(docker, 'plain', '192.0.2.1'));

    // Without a server: an error that says so; what has a lease goes on.
    await dhcp.stop();
    assert.match(
      await refused(docker, 'run', '--rm', '--network', 'lan', 'busybox', 'true'),
      /no DHCP(v6)? server answers on eth0.*DHCP_NO_SERVER/,
    );
    assert.ok(await hostReaches(lan.neighbour, addresses.fixed[0]));
    await dhcp.start();
    await eventually('a new lease', async () => {
      const out = await docker('run', '--rm', '--network', 'lan', 'busybox', 'ip', 'addr').catch(() => '');
      return /192\.0\.2\.[5-9][0-9]\/24/.test(out);
    });

    await docker('rm', '-f', 'fixed', 'plain');
    await docker('network', 'rm', 'lan');
    assert.equal(await leasesOf(daemon), [], 'every lease is given back with its network');
    await eventually('the release at the server', () =>
      make === 'dnsmasq' ? /DHCPRELEASE\(eth0\) 192/.test(dhcp.log()) : /Release message/.test(dhcp.log()),
    );
  });
}

test('cleat-shim with udhcpd: a container is known by its name, whatever its MAC, at the server too', async () => {
  const dhcp = await startServer('udhcpd');
  const docker = await startShimOn(older);
  await create(docker, '--subnet', '192.0.2.0/24');
  const start = () =>
    docker(...['run', '-d', '--name', 'one', '--network', 'lan', '--log-driver', 'none'], 'busybox', 'sleep', '1000');
  await start();
  const [address] = await addressesOf(docker, 'one');
  assert.match(address, /^192\.0\.2\.[5-9][0-9]$/);
  assert.is((await leasesOf(older.daemon))[0]?.container, 'one');
  await eventually('the name at the server', async () => new RegExp(`${address}\\s+one\\b`).test(await dhcp.leases()));
  await docker('rm', '-f', 'one');
  await start();
  assert.is((await addressesOf(docker, 'one'))[0], address, 'the same lease');
  await docker('rm', '-f', 'one');
  await docker('network', 'rm', 'lan');
});

test.run();
