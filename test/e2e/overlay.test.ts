/**
 * cleat-overlay under real engines: one network over three hosts, each with an engine and a daemon of its own.
 *
 *     a 192.0.2.1 ──┐
 *     b 192.0.2.2 ──┼── segment
 *     c 192.0.2.3 ──┘
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { missing, requires } from '../support/requires.ts';
import { createSegment } from '../support/segment.ts';

requires('root', 'bridge', 'veth', 'nftables', 'engine-20.10');

interface Machine {
  readonly host: Host;
  readonly daemon: Daemon;
  readonly engine: Engine;
  readonly container: string;
}

const peers = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
const config = { overlay: { secret: 'a secret of three hosts', lease: '4s', peers } };
/** The first host has the engine's own IPAM and says what is its to give; on the others cleat-ipam knows. */
const create = (index: number) => [
  ...['network', 'create', '-d', 'cleat-overlay', '-o', 'cleat.network=prod', '--subnet', '10.90.0.0/24', '--ipv6'],
  ...['--gateway', '10.90.0.1', '--subnet', 'fd00:90::/64', '--gateway', 'fd00:90::1'],
  ...(index === 0
    ? ['--ip-range', '10.90.0.0/26', '--ip-range', 'fd00:90::/66']
    : ['--ipam-driver', 'cleat-ipam', '--ipam-opt', 'cleat.network=prod']),
];

const works = async ({ engine, container }: Machine, command: string): Promise<boolean> =>
  (await engine.docker('exec', container, 'sh', '-c', `{ ${command}; } >/dev/null 2>&1 && echo yes || echo no`)) ===
  'yes';

/** What the kernel of a host knows of the others' containers. */
const entries = async ({ host }: Machine): Promise<string> =>
  (await host.sh('bridge fdb show | grep dev.cx | sort; ip neigh show nud permanent | sort')).trim();

async function startMachines(parts: { close(): Promise<void> }[]): Promise<readonly [Machine, Machine, Machine]> {
  const segment = await createSegment();
  parts.push(segment);
  const machines: Machine[] = [];
  for (const [index, name] of ['a', 'b', 'c'].entries()) {
    const host = await createHost({ name });
    parts.push(host);
    await segment.attach(host, { addresses: [`192.0.2.${index + 1}/24`] });
    const daemon = await startDaemon('networkd', host, { config });
    const newer = index > 0 && missing('engine-28') === undefined;
    const engine = await startEngine({ version: newer ? '28' : '20.10', host, liveRestore: true });
    parts.push(engine);
    machines.push({ host, daemon, engine, container: `c${name}` });
  }
  return machines as unknown as readonly [Machine, Machine, Machine];
}

test('three hosts, one network: traffic, names, a restart, a death, and nothing left behind', async () => {
  const parts: { close(): Promise<void> }[] = [];
  try {
    const machines = await startMachines(parts);
    const [a, b, c] = machines;

    const addresses = new Map<Machine, { readonly v4: string; readonly v6: string }>();
    for (const [index, machine] of machines.entries()) {
      const { engine, container } = machine;
      await engine.docker(...create(index), 'net');
      await engine.docker(
        ...['run', '-d', '--name', container, '--network', 'net', '--network-alias', 'all', 'busybox', 'sh', '-c'],
        `mkdir /www; echo ${container} > /www/index.html; httpd -f -p 80 -h /www`,
      );
      const [{ NetworkSettings }] = JSON.parse(await engine.docker('inspect', container));
      const { IPAddress: v4, GlobalIPv6Address: v6 } = NetworkSettings.Networks.net;
      assert.is(Number(v4.split('.')[3]) >> 6, index, `${v4} is of this host's share`);
      addresses.set(machine, { v4, v6 });
    }
    const of = (machine: Machine) => addresses.get(machine) ?? { v4: '', v6: '' };
    const foreign = a.engine.docker('run', '--rm', '--network', 'net', '--ip', '10.90.0.70', 'busybox', 'true');
    assert.match(await foreign.catch((error: Error) => error.message), /NET_OVERLAY_SHARE/, 'not its to give');

    for (const from of machines) {
      for (const to of machines) {
        if (from === to) continue;
        await eventually(`${from.container} reaches ${to.container}`, () => works(from, `ping -c1 -W1 ${of(to).v4}`));
        const page = `timeout 5 wget -q -O - http://${to.container}/ | grep -qx ${to.container}`;
        await eventually(`${from.container} finds ${to.container} by its name`, () => works(from, page));
        assert.ok(await works(from, `ping -c1 -W2 -s 1400 ${of(to).v4}`), 'a packet as large as the MTU lets it');
        await eventually('and IPv6', () => works(from, `ping6 -c1 -W1 ${of(to).v6}`));
      }
      const all = await from.engine.docker('exec', from.container, 'nslookup', 'all');
      for (const to of machines) assert.ok(all.includes(of(to).v4), `all includes ${of(to).v4}`);
    }
    const status = JSON.parse(await a.daemon.cleat('overlay', 'status', '--json'));
    assert.is(await a.engine.docker('exec', 'ca', 'cat', '/sys/class/net/eth0/mtu'), '1450');
    assert.ok(await works(a, 'ping -c1 -W2 192.0.2.2'), 'the way out, under the address of the host');
    await b.engine.docker('run', '-d', '--name', 'web', '--network', 'net', '-p', '8080:80', 'busybox', 'httpd', '-f');
    await eventually('a published port', () => c.host.sh('nc -w1 -z 192.0.2.2 8080 && echo yes'));
    await b.engine.docker('rm', '-f', 'web');

    // Questions for addresses that somebody has are answered on the spot; for others everybody is asked.
    const capture = (filter: string) => `timeout 5 tcpdump -c1 -lni cx${status[0].vni} '${filter}' 2>/dev/null`;
    const asked = b.host.sh(`${capture('arp and host 10.90.0.50')} || true`);
    const quiet = b.host.sh(`${capture(`ether broadcast and arp and dst host ${of(c).v4}`)} || true`);
    const unknown = Array.from({ length: 6 }, () => 'ping -c1 -W1 10.90.0.50').join('; ');
    await works(a, `ping -c1 -W1 ${of(c).v4}; ${unknown}`);
    assert.match(await asked, /who-has/, 'a broadcast reaches the other hosts');
    assert.is(await quiet, '', 'and a known address is not asked for over the wire');
    assert.equal(
      [status[0].hosts, status[0].remoteEndpoints, status[0].share],
      [3, 2, ['10.90.0.0/26', 'fd00:90::/66']],
    );
    assert.match(await a.daemon.cleat('overlay', 'peers'), /192\.0\.2\.2 .* connected /);

    // The daemon dies: traffic goes on, and what the kernel knows is the same when it is back.
    const before = await entries(a);
    await a.daemon.kill();
    assert.ok(await works(a, `ping -c1 -W2 ${of(b).v4}`), 'traffic without the daemon');
    await a.daemon.start();
    await eventually('names are back', () => works(a, 'nslookup cb'));
    assert.is(await entries(a), before);
    assert.ok(await works(b, 'nslookup ca'), 'and nobody lost it');

    await b.engine.docker('run', '-d', '--name', 'late', '--network', 'net', 'busybox', 'sleep', '1000');
    await eventually('a new name is known', () => works(a, 'nslookup late'));
    await b.engine.docker('rm', '-f', 'late');
    await eventually('and gone with its container', async () => !(await works(a, 'nslookup late')));
    await eventually('without a trace', async () => (await entries(a)) === before);

    // A host is cut off: after its lease nothing of it is left, and the others go on.
    await c.host.sh('ip link set eth0 down');
    await eventually('its names are gone', async () => !(await works(a, 'nslookup cc')));
    await eventually('its entries too', async () => !(await entries(a)).includes('192.0.2.3'));
    assert.ok(await works(a, `ping -c1 -W2 ${of(b).v4}`), 'the living go on');
    await c.host.sh('ip link set eth0 up');
    await eventually('it is back', () => works(a, `nslookup cc && ping -c1 -W1 ${of(c).v4}`));
    await eventually('as it was', async () => (await entries(a)) === before);

    for (const { engine, host, container } of machines) {
      await engine.docker('rm', '-f', container);
      await engine.docker('network', 'rm', 'net');
      assert.is(await host.sh("ip -o link | grep -E 'cx[0-9]|cl-|cv' || true"), '', 'nothing is left');
    }
  } finally {
    for (const part of parts.reverse()) await part.close();
  }
});

test.run();
