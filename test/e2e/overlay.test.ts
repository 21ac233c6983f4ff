/**
 * cleat-overlay under engines of different make: two networks over three hosts, one in clear and one encrypted.
 *
 *     a 192.0.2.1  Docker 20.10 ──┐
 *     b 192.0.2.2  Docker 28    ──┼── segment, MTU 1450
 *     c 192.0.2.3  cleat-shim   ──┘
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ensureImageArchive } from '../../lab/setup/images.ts';
import type { OverlayNetworkRow, OverlayPeerRow } from '../../plugins/network/overlay/control.ts';
import type { TraceStep } from '../../plugins/network/overlay/trace.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { missing, requires } from '../support/requires.ts';
import { createSegment, type Segment } from '../support/segment.ts';

requires('root', 'bridge', 'veth', 'nftables', 'tun', 'engine-20.10', 'engine-28', 'overlayfs', 'program:conmon');
for (const program of ['curl', 'socat', 'tcpdump'] as const) requires(`program:${program}`);
if (missing('wireguard') !== undefined) requires('program:wireguard-go');

interface Machine {
  readonly name: string;
  readonly host: Host;
  readonly daemon: Daemon;
  docker(...args: readonly string[]): Promise<string>;
}

/** A container of one network on one host. */
interface Box {
  readonly name: string;
  readonly machine: Machine;
  readonly v4: string;
  readonly v6: string;
  /** Runs in its network namespace, with the programs of the host. */
  sh(script: string): Promise<string>;
}

interface Net {
  readonly name: 'clear' | 'sealed';
  readonly options: readonly string[];
  readonly v4: string;
  readonly v6: string;
  readonly mtu: number;
}

const peers = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
const config = { overlay: { secret: 'a secret of three hosts', lease: '4s', peers } };
const clear: Net = { name: 'clear', options: [], v4: '10.90.0', v6: 'fd00:90:', mtu: 1400 };
const localFirst = ['-o', 'cleat.dns.local-first=true'];
const sealed: Net = {
  name: 'sealed',
  options: ['-o', 'encrypted', ...localFirst],
  v4: '10.91.0',
  v6: 'fd00:91:',
  mtu: 1320,
};
const nets = [clear, sealed];
const group = { v4: '239.1.1.5', v6: 'ff15::5' };
const parts: { close(): Promise<void> }[] = [];
const boxes = new Map<Net, readonly Box[]>();
let segment: Segment;
let machines: readonly [Machine, Machine, Machine];
let atStart = '';

const works = async ({ machine, name }: Box, command: string): Promise<boolean> =>
  (await machine.docker('exec', name, 'sh', '-c', `{ ${command}; } >/dev/null 2>&1 && echo yes || echo no`)) === 'yes';

function box(net: Net, index: number): Box {
  const found = boxes.get(net)?.[index];
  if (!found) throw new Error(`no container ${index} of ${net.name}`);
  return found;
}

/** What the kernel of a host knows of the others' containers. */
const entries = ({ host }: Machine): Promise<string> =>
  host.sh('bridge fdb show | grep dev.cx | sort; ip neigh show nud permanent | sort');

async function setUp(): Promise<void> {
  segment = await createSegment({ mtu: 1450 });
  parts.push(segment);
  machines = (await Promise.all(
    [startDocker('20.10'), startDocker('28'), startOurs].map((start, index) => startMachine(index, start)),
  )) as unknown as typeof machines;
  atStart = await links();
}

/** Of ours: the shim's own bridge network is there from the start. */
async function links(): Promise<string> {
  const all = machines.map(({ host }) => host.sh("ip -o link | grep -oE ' (cx|cl-|cv|cleat-wg)[^:]*' || true"));
  return (await Promise.all(all)).join();
}

test.after(async () => {
  for (const part of parts.reverse()) await part.close();
});

type StartEngine = (host: Host) => Promise<Machine['docker']>;

function startDocker(version: '20.10' | '28'): StartEngine {
  return async (host) => {
    const engine = await startEngine({ version, host });
    parts.push(engine);
    return engine.docker;
  };
}

async function startOurs(host: Host): Promise<Machine['docker']> {
  await startDaemon('shim', host);
  const env = { DOCKER_HOST: 'unix:///run/cleat/docker.sock' };
  const docker: Machine['docker'] = async (...args) =>
    (await host.run('docker', args, { env, timeoutMs: 60_000 })).stdout.trim();
  await docker('import', ensureImageArchive('busybox'), 'busybox:latest');
  return docker;
}

async function startMachine(index: number, start: StartEngine): Promise<Machine> {
  const name = 'abc'.charAt(index);
  const host = await createHost({ name });
  parts.push(host);
  await segment.attach(host, { addresses: [`${peers[index]}/24`] });
  const daemon = await startDaemon('networkd', host, { config });
  return { name, host, daemon, docker: await start(host) };
}

/** The first host has the engine's own IPAM and says what is its to give; on the others cleat-ipam knows. */
async function createNetwork({ docker }: Machine, { name, options, v4, v6 }: Net, index: number): Promise<void> {
  await docker(
    ...['network', 'create', '-d', 'cleat-overlay', '-o', `cleat.network=${name}`, ...options, '--ipv6'],
    ...['--subnet', `${v4}.0/24`, '--gateway', `${v4}.1`, '--subnet', `${v6}:/64`, '--gateway', `${v6}:1`],
    ...(index === 0
      ? ['--ip-range', `${v4}.0/26`, '--ip-range', `${v6}:/66`]
      : ['--ipam-driver', 'cleat-ipam', '--ipam-opt', `cleat.network=${name}`]),
    name,
  );
}

async function runBox(machine: Machine, net: Net): Promise<Box> {
  const name = `${net.name}-${machine.name}`;
  const page = `mkdir /www; echo ${name} > /www/index.html; yes 'read me, I am ${net.name}' | head -c 4000000 > /www/large`;
  await machine.docker(
    ...[
      'run',
      '-d',
      '--log-driver',
      'none',
      '--name',
      name,
      '--network',
      net.name,
      '--network-alias',
      'all',
      'busybox',
    ],
    ...['sh', '-c', `${page}; httpd -f -p 80 -h /www`],
  );
  const [{ NetworkSettings, State }] = JSON.parse(await machine.docker('inspect', name));
  const { IPAddress: v4, GlobalIPv6Address: v6 } = NetworkSettings.Networks[net.name];
  const sh = (script: string) =>
    machine.host.sh(`nsenter -t ${State.Pid} -n bash -euo pipefail <<'END'\n${script}\nEND`, { timeoutMs: 60_000 });
  return { name, machine, v4, v6, sh };
}

test("containers of all hosts get addresses of their own; what is not a host's to give is refused", async () => {
  await setUp();
  for (const net of nets) await Promise.all(machines.map((machine, index) => createNetwork(machine, net, index)));
  for (const net of nets) boxes.set(net, await Promise.all(machines.map((machine) => runBox(machine, net))));
  for (const [index, { v4 }] of (boxes.get(clear) ?? []).entries())
    assert.is(Number(v4.split('.')[3]) >> 6, index, `${v4} is of this host's share`);
  const foreign = machines[0].docker('run', '--rm', '--network', 'clear', '--ip', '10.90.0.70', 'busybox', 'true');
  assert.match(await foreign.catch((error: Error) => error.message), /NET_OVERLAY_SHARE/);
});

test('ping, HTTP, UDP, broadcast, multicast and large transfers pass between all, and only what is in clear can be read', async () => {
  const capture = segment.host.start('tcpdump', ['-Z', 'root', '-Unni', 'sw', '-s200', '-w', '/run/wire', 'not tcp']);
  await eventually('tcpdump listens', () => capture.output().includes('listening on'));
  for (const net of nets) {
    const all = boxes.get(net) ?? [];
    await Promise.all(all.map((one) => listen(one)));
    await Promise.all(all.map((from) => reach(from, all, net)));
    await Promise.all(all.map((from) => tell(from, all, net)));
  }
  await capture.stop();
  const readable = await segment.host.sh(
    "grep -aoE '(read me, I am|unicast|broadcast|group4|group6) (clear|sealed)' /run/wire | sort -u",
  );
  const words = ['broadcast', 'group4', 'group6', 'read me, I am', 'unicast'];
  assert.equal(
    readable.split('\n'),
    words.map((word) => `${word} clear`),
  );
  assert.match(await segment.host.sh("tcpdump -c1 -nnr /run/wire 'udp port 4786 or udp port 4787' 2>/dev/null"), /UDP/);
});

/** ICMP up to the MTU, and a large file whole, by both families. */
async function reach(from: Box, all: readonly Box[], { name, mtu }: Net): Promise<void> {
  assert.is(await from.machine.docker('exec', from.name, 'cat', '/sys/class/net/eth0/mtu'), String(mtu));
  for (const to of all.filter((one) => one !== from)) {
    const what = `${from.name} reaches ${to.name}`;
    await eventually(what, () => from.sh(`ping -c1 -W1 -q ${to.v4}; ping -c1 -W1 -q ${to.v6}`), { timeoutMs: 40_000 });
    await eventually(`${what}, whole packets`, () =>
      from.sh(`ping -c1 -W2 -q -Mdo -s${mtu - 28} ${to.v4}; ping -c1 -W2 -q -Mdo -s${mtu - 48} ${to.v6}`),
    );
    for (const url of [`http://${to.v4}/large`, `http://[${to.v6}]/large`])
      assert.is(
        await from.sh(`curl -sS --max-time 30 '${url}' | grep -c '^read me, I am ${name}$'`),
        String((4_000_000 / (name.length + 15)) | 0),
      );
  }
}

/** Everything that comes for the container by UDP is written to a file of its host. */
async function listen(one: Box): Promise<void> {
  const file = `/run/heard-${one.name}`;
  const pid = await one.machine.docker('inspect', '-f', '{{.State.Pid}}', one.name);
  const into = `OPEN:${file},creat,append`;
  const run = (...from: string[]) => one.machine.host.start('nsenter', ['-t', pid, '-n', 'socat', '-u', ...from, into]);
  run(`UDP4-RECV:5000,ip-add-membership=${group.v4}:eth0`);
  run(`UDP6-RECV:5001,ipv6only=1,ipv6-join-group=[${group.v6}]:eth0`);
}

/** One word to each, to everybody, and to the groups, until all have heard. */
async function tell(from: Box, all: readonly Box[], { name, v4 }: Net): Promise<void> {
  const others = all.filter((one) => one !== from);
  const send = (word: string, to: string) => `echo ${word} ${name} ${from.name} | socat -u - ${to}`;
  const script = [
    ...others.flatMap((to) => [
      send('unicast', `UDP4-DATAGRAM:${to.v4}:5000`),
      send('unicast', `UDP6-DATAGRAM:[${to.v6}]:5001`),
    ]),
    send('broadcast', `UDP4-DATAGRAM:${v4}.255:5000,broadcast`),
    send('group4', `UDP4-DATAGRAM:${group.v4}:5000`),
    send('group6', `UDP6-DATAGRAM:[${group.v6}]:5001`),
  ].join('\n');
  const words = ['unicast', 'broadcast', 'group4', 'group6'].map((word) => `${word} ${name} ${from.name}`);
  await eventually(
    `all hear ${from.name}`,
    async () => {
      await from.sh(script);
      const heard = await Promise.all(others.map(({ machine, name: to }) => machine.host.sh(`cat /run/heard-${to}`)));
      return heard.every((text) => words.every((word) => text.includes(word)));
    },
    { timeoutMs: 60_000 },
  );
}

test('names are known everywhere, follow a container to another host, and leave no stale answer', async () => {
  const [a, b, c] = machines;
  for (const net of nets) {
    const all = boxes.get(net) ?? [];
    for (const from of all) {
      const pages = all.map((to) => `timeout 5 wget -q -O - http://${to.name}/ | grep -qx ${to.name}`).join(' && ');
      await eventually(`${from.name} finds all by their names`, () => works(from, pages));
      const asked = await from.machine.docker('exec', from.name, 'nslookup', 'all');
      for (const to of all) assert.ok(asked.includes(to.v4), `all includes ${to.v4}`);
      const first = asked.split('\n').find((line) => line.includes(`: ${net.v4}.`)) ?? '';
      if (net === sealed) assert.ok(first.endsWith(from.v4), `${first} is of this host`);
    }
  }
  const where = async () => {
    const answer = await a.docker('exec', 'clear-a', 'nslookup', 'web').catch(() => '');
    return [...answer.matchAll(/(10\.90\.0\.\d+)/g)].map(([, address = '']) => address);
  };
  const run = async ({ docker }: Machine) => {
    await docker('run', '-d', '--log-driver', 'none', '--name', 'web', '--network', 'clear', 'busybox', 'httpd', '-f');
    return await docker('inspect', '-f', '{{.NetworkSettings.Networks.clear.IPAddress}}', 'web');
  };
  const old = await run(b);
  await eventually('it is known', async () => (await where()).join() === old);
  await b.docker('rm', '-f', 'web');
  const fresh = await run(c);
  const answers: string[] = [];
  await eventually('it is known at its new place alone', async () => {
    answers.push((await where()).join());
    return answers.at(-1) === fresh;
  });
  assert.is((await where()).join(), fresh);
  assert.not.ok(
    answers.some((answer) => answer.includes(fresh) && answer.includes(old)),
    'never at both',
  );
  await c.docker('rm', '-f', 'web');
  await eventually('gone with its container', async () => (await where()).length === 0);
});

test('status, peers and trace tell how it is, and what is missing', async () => {
  const [a] = machines;
  const ask = async <T>(...args: string[]) => JSON.parse(await a.daemon.cleat('overlay', ...args, '--json')) as T;
  const rows = await ask<OverlayNetworkRow[]>('status');
  const shown = rows.map(({ overlay, hosts, remoteEndpoints, mtu, encryption, share }) => [
    ...[overlay, hosts, remoteEndpoints, mtu, encryption === 'none', share.join()],
  ]);
  assert.equal(shown.sort(), [
    ['clear', 3, 2, 1400, true, '10.90.0.0/26,fd00:90::/66'],
    ['sealed', 3, 2, 1320, false, '10.91.0.0/26,fd00:91::/66'],
  ]);
  await eventually('the ways are known', async () => {
    const found = await ask<OverlayPeerRow[]>('peers');
    return (
      found.length === 4 &&
      found.every(
        ({ overlay, state, problem, pathMtu, checksums, latencyMs, loss, handshakeSeconds }) =>
          state === 'connected' &&
          problem === '' &&
          (overlay === 'clear'
            ? pathMtu === 1400 && checksums === 'good' && latencyMs !== null && loss !== null
            : handshakeSeconds !== null),
      )
    );
  });
  assert.match(await a.daemon.cleat('overlay', 'peers'), /clear +192\.0\.2\.2 .* connected /);
  for (const net of nets) {
    const steps = await ask<TraceStep[]>('trace', `${net.name}-a`, `${net.name}-b`, '-n', net.name);
    assert.equal(
      steps.filter(({ missing }) => missing !== ''),
      [],
    );
    assert.ok(steps.some(({ step }) => step === 'VXLAN FDB'));
    assert.is(
      steps.some(({ step }) => step === 'tunnel'),
      net === sealed,
    );
  }
  const { host } = a;
  const cx = rows.find(({ overlay }) => overlay === 'clear')?.interface ?? '';
  const mac = /(\S+) dst 192\.0\.2\.2/.exec(
    (await host.sh(`bridge fdb show dev ${cx} | grep -v ^00:00:00`)) ?? '',
  )?.[1];
  await host.sh(`bridge fdb del ${mac} dst 192.0.2.2 dev ${cx} self`);
  const broken = await ask<TraceStep[]>('trace', 'clear-a', 'clear-b').catch((error: { stdout: string }) =>
    JSON.parse(error.stdout),
  );
  assert.equal(
    broken.flatMap(({ step, missing }: TraceStep) => (missing ? [step] : [])),
    ['VXLAN FDB'],
  );
  await host.sh(`bridge fdb replace ${mac} dst 192.0.2.2 dev ${cx} self`);
});

test('the way out, a published port, and questions that stay at home', async () => {
  const [a, b, c] = machines;
  const [from, to] = [box(clear, 0), box(clear, 2)];
  assert.ok(await works(from, 'ping -c1 -W2 192.0.2.2'), 'under the address of the host');
  await b.docker('run', '-d', '--name', 'web', '--network', 'clear', '-p', '8080:80', 'busybox', 'httpd', '-f');
  await eventually('a published port', () => c.host.sh('nc -w1 -z 192.0.2.2 8080 && echo yes'));
  await b.docker('rm', '-f', 'web');
  // Questions for addresses that somebody has are answered on the spot; for others everybody is asked.
  const [{ interface: cx }] = JSON.parse(await b.daemon.cleat('overlay', 'status', '-n', 'clear', '--json'));
  const capture = b.host.start('tcpdump', ['-lnni', cx, 'arp and ether broadcast']);
  await eventually('tcpdump listens', () => capture.output().includes('listening on'));
  await from.sh(`ip neigh flush dev eth0; ping -c1 -W1 -q ${to.v4}`);
  await eventually('a broadcast reaches the other hosts', async () => {
    await from.sh('ping -c1 -W1 -q 10.90.0.50 || true');
    return capture.output().includes('who-has 10.90.0.50');
  });
  await capture.stop();
  assert.not.ok(capture.output().includes(`who-has ${to.v4} `), 'a known address is not asked for over the wire');
  assert.ok(await works(box(clear, 0), `ping -c1 -W2 ${box(clear, 1).v4}`));
  assert.ok(a);
});

test('a daemon dies and a host is cut off: traffic of the living goes on, and all is as it was when they are back', async () => {
  const [a, , c] = machines;
  const [first, second, third] = [box(clear, 0), box(clear, 1), box(clear, 2)];
  const before = await entries(a);
  await a.daemon.kill();
  for (const net of nets)
    assert.ok(await works(box(net, 0), `ping -c1 -W2 ${box(net, 1).v4}`), `traffic without the daemon, ${net.name}`);
  await a.daemon.start();
  await eventually('names are back', () => works(first, 'nslookup clear-b'));
  await eventually('as it was', async () => (await entries(a)) === before);
  assert.ok(await works(second, 'nslookup clear-a'), 'and nobody lost it');

  await c.host.sh('ip link set eth0 down');
  await eventually('its names are gone', async () => !(await works(first, 'nslookup clear-c')));
  await eventually('its entries too', async () => !(await entries(a)).includes(third.v4));
  for (const net of nets)
    assert.ok(await works(box(net, 0), `ping -c1 -W2 ${box(net, 1).v4}`), `the living go on, ${net.name}`);
  await c.host.sh('ip link set eth0 up');
  await eventually('it is back', () => works(first, `nslookup clear-c && ping -c1 -W1 ${third.v4}`));
  await eventually('as it was', async () => (await entries(a)) === before);
  await eventually('encrypted too', () => works(box(sealed, 0), `ping -c1 -W1 ${box(sealed, 2).v4}`));
});

test('nothing is left behind', async () => {
  await Promise.all(
    machines.map(async ({ docker, name }) => {
      await docker('rm', '-f', ...nets.map((net) => `${net.name}-${name}`));
      for (const net of nets) await docker('network', 'rm', net.name);
    }),
  );
  let last = '';
  await eventually('nothing is left', async () => {
    last = await links();
    return last === atStart;
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${last}`);
  });
});

test.run();
