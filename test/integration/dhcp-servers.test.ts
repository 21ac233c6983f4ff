/**
 * cleat-dhcp against real servers of two makes, asked by the protocol as an engine asks it.
 *
 *     server 192.0.2.1, 2001:db8::1 ── segment ── eth0 192.0.2.2, 2001:db8::2 host: cleat-networkd
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type DhcpServer, type DhcpServerOptions, dhcpServer } from '../support/dhcp-server.ts';
import { callApi } from '../support/engine-api.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { createSegment } from '../support/segment.ts';

requires('root', 'veth', 'bridge', 'program:dnsmasq', 'program:dhcpd');

interface Scene {
  readonly host: Host;
  readonly serverHost: Host;
  readonly server: DhcpServer;
  readonly daemon: Daemon;
  close(): Promise<void>;
}

async function startScene(make: 'dnsmasq' | 'dhcpd', options: DhcpServerOptions = {}): Promise<Scene> {
  const host = await createHost({ name: 'dhcp' });
  const serverHost = await createHost({ name: 'server' });
  const segment = await createSegment();
  const close = async () => {
    for (const part of [host, serverHost, segment]) await part.close();
  };
  try {
    await segment.attach(host, { addresses: ['192.0.2.2/24', '2001:db8::2/64'] });
    await segment.attach(serverHost, { addresses: ['192.0.2.1/24', '2001:db8::1/64'] });
    const server = dhcpServer(serverHost, make, options);
    // Their link-local addresses are looked for as duplicates first.
    for (const one of [host, serverHost]) {
      await eventually('a link-local address', async () => {
        const shown = await one.sh('ip -6 addr show dev eth0 scope link');
        return shown.includes('fe80') && !shown.includes('tentative');
      });
    }
    await server.start();
    const daemon = await startDaemon('networkd', host);
    return { host, serverHost, server, daemon, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Reply {
  readonly PoolID?: string;
  readonly Address?: string;
  readonly Err?: string;
}

async function ask({ daemon }: Scene, method: string, body: object): Promise<Reply> {
  const { body: reply } = await callApi(daemon.socket('cleat-dhcp'), 'POST', `/IpamDriver.${method}`, {
    ...body,
  } as Record<string, unknown>);
  return reply as Reply;
}

async function pool(scene: Scene, v6: boolean, options: Record<string, string> = {}): Promise<string> {
  const { PoolID, Err } = await ask(scene, 'RequestPool', {
    AddressSpace: 'cleat-dhcp',
    Pool: v6 ? '2001:db8::/64' : '192.0.2.0/24',
    Options: { parent: 'eth0', ...options },
    V6: v6,
  });
  assert.is(Err ?? '', '');
  return PoolID as string;
}

const mac = '02:00:5e:00:53:11';
const request = (scene: Scene, PoolID: string, MacAddress = mac, Address = '') =>
  ask(scene, 'RequestAddress', { PoolID, Address, Options: { 'com.docker.network.endpoint.macaddress': MacAddress } });

interface Row {
  readonly address: string;
  readonly until: string;
  readonly state: string;
  readonly nameServers: readonly string[];
}

const leases = async ({ daemon }: Scene): Promise<readonly Row[]> =>
  (JSON.parse(await daemon.cleat('status', '--json', 'leases')) as { leases: Row[] }).leases;

for (const make of ['dnsmasq', 'dhcpd'] as const) {
  test(`${make}: leases of both families come with name servers, stay for who comes back, and are given back`, async () => {
    const scene = await startScene(make);
    try {
      const pools = [await pool(scene, false), await pool(scene, true)] as const;
      const given = [await request(scene, pools[0]), await request(scene, pools[1])].map(({ Address }) => Address);
      assert.match(given[0] ?? '', /^192\.0\.2\.[5-9][0-9]\/24$/);
      assert.match(given[1] ?? '', /^2001:db8::[5-9][0-9]\/64$/);
      assert.equal((await leases(scene)).flatMap(({ nameServers }) => nameServers).sort(), [
        '192.0.2.1',
        '2001:db8::1',
      ]);
      const written = await scene.server.leases();
      assert.match(written, new RegExp(given[1]?.split('/')[0] ?? 'none'), 'the server knows the IPv6 lease');

      for (const [index, PoolID] of pools.entries()) {
        const Address = given[index]?.split('/')[0] ?? '';
        await ask(scene, 'ReleaseAddress', { PoolID, Address });
        assert.is((await request(scene, PoolID)).Address, given[index], 'who comes back has the same');
      }
      await scene.daemon.kill();
      await scene.daemon.start();
      assert.is((await request(scene, pools[1])).Address, given[1], 'also from another daemon');
      const other = await request(scene, pools[1], '02:00:5e:00:53:12');
      assert.is.not(other.Address, given[1], 'another client has another');

      for (const PoolID of pools) await ask(scene, 'ReleasePool', { PoolID });
      await eventually('the server has heard of it', () => {
        const log = scene.server.log();
        return (
          /DHCPRELEASE/.test(log) &&
          (make === 'dnsmasq' ? /DHCPRELEASE\(eth0\) 2001|release/i : /Release message/).test(log)
        );
      });
      assert.equal(await leases(scene), []);
    } finally {
      await scene.close();
    }
  });
}

test('dhcpd: leases are extended, kept while the server is away, and had again after they were lost', async () => {
  const scene = await startScene('dhcpd', { leaseSeconds: 12 });
  try {
    for (const v6 of [false, true]) await request(scene, await pool(scene, v6));
    const before = await leases(scene);
    assert.is(before.length, 2);
    await eventually(
      'both leases are extended',
      async () => (await leases(scene)).every(({ until }, index) => until > (before[index]?.until ?? '')),
      { timeoutMs: 30_000 },
    );
    await scene.server.stop();
    await eventually(
      'both are lost, and say so',
      async () => (await leases(scene)).every(({ state }) => state.startsWith('lost: ')),
      { timeoutMs: 60_000 },
    );
    await scene.server.start();
    await eventually('both are had again', async () => (await leases(scene)).every(({ state }) => state === 'in use'), {
      timeoutMs: 60_000,
    });
    assert.equal(
      (await leases(scene)).map(({ address }) => address),
      before.map(({ address }) => address),
      'with the same addresses',
    );
  } finally {
    await scene.close();
  }
});

test('dhcpd: an address that somebody has taken is declined, and another one asked for', async () => {
  const scene = await startScene('dhcpd', { range: [50, 52] });
  try {
    await scene.serverHost.sh(
      'for a in 50 52; do ip addr add 192.0.2.$a/24 dev eth0; ip addr add 2001:db8::$a/64 dev eth0 nodad; done',
    );
    assert.is((await request(scene, await pool(scene, false))).Address, '192.0.2.51/24');
    assert.is((await request(scene, await pool(scene, true))).Address, '2001:db8::51/64');
  } finally {
    await scene.close();
  }
});

test('without a server: an error that says so, and a lease for the next try when it is back', async () => {
  const scene = await startScene('dnsmasq');
  try {
    const PoolID = await pool(scene, true, { linger: '5m' });
    await scene.server.stop();
    const { Err } = await request(scene, PoolID);
    assert.match(Err ?? '', /no DHCPv6 server answers on eth0.*DHCP_NO_SERVER/);
    await scene.server.start();
    await eventually('a lease is there', async () => (await leases(scene)).some(({ state }) => state === 'parked'), {
      timeoutMs: 30_000,
    });
    const [parked] = await leases(scene);
    assert.is((await request(scene, PoolID)).Address, `${parked?.address}/64`);
  } finally {
    await scene.close();
  }
});

test('what cannot be is refused', async () => {
  const scene = await startScene('dnsmasq');
  try {
    const PoolID = await pool(scene, true);
    assert.match(
      (await request(scene, PoolID, mac, '2001:db8::7')).Err ?? '',
      /offers .* and not 2001:db8::7.*DHCP_REFUSED/,
    );
    const nameless = await ask(scene, 'RequestPool', {
      AddressSpace: 'cleat-dhcp',
      Pool: '',
      Options: { parent: 'eth0' },
      V6: true,
    });
    assert.match(nameless.Err ?? '', /needs the subnet of the LAN.*IPAM_POOL_INVALID/);
    await scene.host.sh('sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1');
    assert.match((await request(scene, PoolID)).Err ?? '', /no link-local address.*disable_ipv6.*DHCP_NO_SERVER/);
  } finally {
    await scene.close();
  }
});

test.run();
