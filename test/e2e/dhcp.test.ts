/**
 * cleat-dhcp under real engines and servers of two makes.
 *
 *     server 192.0.2.1: dnsmasq, or busybox udhcpd ── segment ── eth0 host: engine, cleat-networkd, containers
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, type EngineVersion, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { missing, requires } from '../support/requires.ts';
import { createSegment } from '../support/segment.ts';

requires('root', 'macvlan', 'veth', 'engine-20.10');
const versions = (['20.10', '28'] as const).filter((version) => missing(`engine-${version}`) === undefined);

type Server = 'dnsmasq' | 'udhcpd';

interface Scene {
  readonly host: Host;
  readonly server: Host;
  readonly daemon: Daemon;
  readonly engine: Engine;
  startServer(): Promise<void>;
  stopServer(): Promise<void>;
  close(): Promise<void>;
}

const commands: Readonly<Record<Server, string>> = {
  dnsmasq:
    'exec dnsmasq --keep-in-foreground --port=0 --interface=eth0 --bind-interfaces --dhcp-range=192.0.2.50,192.0.2.90,2m --dhcp-option=3,192.0.2.1 --dhcp-option=26,1400 --dhcp-leasefile=/run/leases --dhcp-authoritative --log-dhcp --log-facility=/run/dhcp.log --user=root',
  udhcpd: `printf 'start 192.0.2.50\\nend 192.0.2.90\\ninterface eth0\\nmax_leases 40\\nlease_file /run/leases\\npidfile /run/udhcpd.pid\\noption subnet 255.255.255.0\\noption router 192.0.2.1\\noption lease 120\\nmin_lease 30\\n' > /run/udhcpd.conf; touch /run/leases; exec busybox udhcpd -f /run/udhcpd.conf`,
};

async function startScene(version: EngineVersion, make: Server): Promise<Scene> {
  const parts: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const part of parts.reverse()) await part.close();
  };
  try {
    const host = await createHost({ name: 'dhcp' });
    const server = await createHost({ name: 'server' });
    const segment = await createSegment();
    parts.push(host, server, segment);
    await segment.attach(host, { addresses: ['192.0.2.2/24'], gateway: '192.0.2.1' });
    await segment.attach(server, { addresses: ['192.0.2.1/24'] });
    let running: { kill(signal?: NodeJS.Signals): Promise<unknown> } | undefined;
    const startServer = async () => {
      running = (await server.start('sh', ['-c', commands[make]])) as unknown as typeof running;
    };
    const stopServer = async () => {
      await running?.kill();
    };
    await startServer();
    const daemon = await startDaemon('networkd', host);
    const engine = await startEngine({ version, host, liveRestore: true });
    parts.push(engine);
    return { host, server, daemon, engine, startServer, stopServer, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const create = (engine: Engine, ...subnet: string[]) =>
  engine.docker(
    'network',
    'create',
    '-d',
    'cleat-macvlan',
    '-o',
    'parent=eth0',
    '--ipam-driver',
    'cleat-dhcp',
    '--ipam-opt',
    'parent=eth0',
    ...subnet,
    'lan',
  );
const addressOf = async (engine: Engine, name: string): Promise<string> =>
  JSON.parse(await engine.docker('inspect', name))[0].NetworkSettings.Networks.lan.IPAddress;

for (const [version, make] of versions.map(
  (version, index) => [version, (['dnsmasq', 'udhcpd'] as const)[index] ?? 'dnsmasq'] as const,
)) {
  test(`Docker ${version} with ${make}: leases are got, renewed, kept over restarts, and given back`, async () => {
    const { server, daemon, engine, startServer, stopServer, close } = await startScene(version, make);
    const { docker } = engine;
    try {
      // The subnet has to be named, and the answer names it; the router is the server's.
      assert.match(
        await create(engine).catch((error: Error) => error.message),
        /serves 192\.0\.2\.0\/24; give --subnet 192\.0\.2\.0\/24/,
      );
      await create(engine, '--subnet', '192.0.2.0/24');
      const [network] = JSON.parse(await docker('network', 'inspect', 'lan'));
      assert.is(network.IPAM.Config[0].Subnet, '192.0.2.0/24');
      const mac = '02:00:5e:00:53:11';
      const run = { Image: 'busybox', Cmd: ['sleep', '1000'], MacAddress: mac, HostConfig: { NetworkMode: 'lan' } };
      const made = await engine.api('POST', '/v1.41/containers/create?name=one', run);
      assert.is(made.status, 201, JSON.stringify(made));
      await docker('start', 'one');
      const address = await addressOf(engine, 'one');
      assert.match(address, /^192\.0\.2\.[5-9][0-9]$/);
      assert.match(await server.sh(`ping -c1 -W2 ${address} >/dev/null && echo yes`), /yes/);
      assert.match(await docker('exec', 'one', 'ip', 'route'), /default via 192\.0\.2\.1/);
      if (make === 'dnsmasq') {
        assert.match(await docker('exec', 'one', 'ip', 'link', 'show', 'eth0'), /mtu 1400/, 'the MTU of the lease');
        assert.match(await server.sh('cat /run/leases'), new RegExp(`${mac} ${address}`));
      }
      const status = await daemon.cleat('status', '--json', 'leases');
      assert.is(JSON.parse(status).leases[0].address, address);

      // A restart keeps the address; so does a new daemon.
      await docker('restart', '-t', '0', 'one');
      assert.is(await addressOf(engine, 'one'), address);
      await daemon.kill();
      await daemon.start();
      await docker('restart', '-t', '0', 'one');
      assert.is(await addressOf(engine, 'one'), address);

      // Without a server: an error that says so; what has a lease goes on.
      await stopServer();
      const refused = await docker('run', '--rm', '--network', 'lan', 'busybox', 'true').catch(
        (error: Error) => error.message,
      );
      assert.match(refused, /no DHCP server answers on eth0.*DHCP_NO_SERVER/);
      assert.match(
        await docker('exec', 'one', 'ip', '-4', 'addr', 'show', 'eth0'),
        new RegExp(address.replaceAll('.', '\\.')),
      );
      await startServer();
      await eventually('a new lease', async () => {
        const out = await docker('run', '--rm', '--network', 'lan', 'busybox', 'ip', '-4', 'addr').catch(() => '');
        return /192\.0\.2\.[5-9][0-9]\/24/.test(out);
      });

      await docker('rm', '-f', 'one');
      await docker('network', 'rm', 'lan');
      assert.equal(
        JSON.parse(await daemon.cleat('status', '--json', 'leases')).leases,
        [],
        'every lease is given back with its network',
      );
      if (make === 'dnsmasq') {
        await eventually('the release at the server', async () => !(await server.sh('cat /run/leases')).includes(mac));
      }
    } finally {
      await close();
    }
  });
}

test.run();
