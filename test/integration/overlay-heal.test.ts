/**
 * What a host of an overlay does when its links or entries are taken away, and when it was not there while others changed. Two
 * hosts with daemons; containers are records only, for nothing here needs their traffic.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { callControl } from '../../plugins/cli/control.ts';
import type { CommandError } from '../../plugins/linux/command.ts';
import { vxlanName } from '../../plugins/network/link/names.ts';
import type { OverlayPeerRow } from '../../plugins/network/overlay/control.ts';
import { vniOf } from '../../plugins/network/overlay/options.ts';
import { eventually } from '../support/deadline.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import {
  join as attach,
  createNetwork,
  type Machine,
  plug,
  randomId,
  startMachine,
  stream,
  twoHosts,
} from './overlay-lab.ts';

requires('root', 'bridge', 'veth', 'nftables', 'program:socat');

const root = fileURLToPath(new URL('../..', import.meta.url));

const peers = ['192.0.2.1', '192.0.2.2'];
const config = { overlay: { secret: 'a secret of two hosts', lease: '3s', peers } };
const cx = vxlanName(vniOf('heal'));

const start = (host: Host, overlay: object = {}) => startMachine(host, { ...config.overlay, ...overlay });
const heal = (options: Readonly<Record<string, string>> = {}) => ({ options: { 'cleat.network': 'heal', ...options } });

/** Addresses of other hosts' containers that the kernel knows wholly: the way to the host, to the port, and the neighbour. */
async function known({ host }: Machine): Promise<string> {
  const fdb = await host.sh(`bridge fdb show dev ${cx} 2>/dev/null || true`);
  const neighbours = await host.sh('ip -4 neigh show nud permanent');
  const whole = [...neighbours.matchAll(/^(\S+) dev cl-\S+ lladdr (\S+)/gm)].filter(
    ([, , mac]) => fdb.includes(`${mac} dst `) && new RegExp(`${mac} (vlan 1 )?master cl-`).test(fdb),
  );
  const everybody = /00:00:00:00:00:00 dst /.test(fdb) ? ['all'] : [];
  return [...whole.map(([, address]) => address).sort(), ...everybody].join(' ');
}

const nameHosts = (host: Host, ...lines: readonly string[]) =>
  host.sh(
    `printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} >/run/hosts; mount --bind /run/hosts /etc/hosts`,
  );

const askPeers = ({ host, daemon }: Machine) =>
  callControl<OverlayPeerRow[]>(host.path(daemon.runDir), 'networkd', 'GET', '/overlay/peers');

const knows = (machine: Machine, what: string) =>
  eventually(`"${what}" is known`, async () => (await known(machine)) === what);

test('a daemon that cannot have its configuration says why and ends', async () => {
  const host = await createHost();
  try {
    const secretFile = join(host.dir, 'secret');
    const file = join(host.dir, 'networkd.json');
    const folders = ['--run-dir', '/run/cleat', '--state-dir', join(host.dir, 'state'), '--plugin-dir', '/run/plugins'];
    for (const [secret, mode, part, words] of [
      ['too short', 0o600, 'overlay', /at least 16 characters/],
      ['a secret of two hosts', 0o644, 'overlay', /can be read by others: chmod 600/],
      ['a secret of two hosts', 0o600, 'overlai', /has no option "overlai".*did you mean "overlay"/],
    ] as const) {
      writeFileSync(secretFile, secret);
      chmodSync(secretFile, mode);
      for (const command of ['bin/cleat-networkd', 'bin/cleat serve networkd']) {
        const [program = '', ...args] = command.split(' ');
        const networkd = { [part]: { secretFile, peers } };
        writeFileSync(file, JSON.stringify(args.length === 0 ? networkd : { networkd, logd: {} }));
        const run = host.run(join(root, program), [...args, '--config', file, ...folders]);
        const { exitCode, stderr } = (await run.catch((error) => error)) as CommandError;
        assert.is(exitCode, 1, command);
        assert.match(stderr, words);
      }
    }
    writeFileSync(file, JSON.stringify({ networkd: {}, lodg: {} }));
    const run = host.run(join(root, 'bin/cleat'), ['serve', 'networkd', '--config', file, ...folders]);
    const { exitCode, stderr } = (await run.catch((error) => error)) as CommandError;
    assert.is(exitCode, 2);
    assert.match(stderr, /"lodg" is no daemon; known: networkd, volumed, logd, shim/);
  } finally {
    await host.close();
  }
});

test('links and entries that go are made again; a restart finds what has changed; a host that is gone leaves nothing', async () => {
  const { one, two, close } = await twoHosts();
  try {
    const a = await start(one);
    const b = await start(two);
    // As Debian has it: the own name is on loopback.
    await nameHosts(one, '127.0.1.1 one', '192.0.2.2 two');
    await nameHosts(two, '192.0.2.1 one', '127.0.1.1 two');
    const refused = (list: string) =>
      createNetwork(a, heal({ 'cleat.peers': list })).catch((error: Error) => error.message);
    assert.match(String(await refused('one,nosuch.invalid')), /the peer nosuch\.invalid cannot be found/);
    assert.match(String(await refused('192.0.2.1,192.0.2.300')), /use IP addresses or host names/);
    const other = one.start('socat', ['-u', 'UDP4-RECV:4789', 'OPEN:/dev/null']);
    await eventually('the port is taken', () => one.sh("ss -Hlun 'sport = 4789' | grep -q . && echo yes"));
    const taken = createNetwork(a, heal()).catch((error: Error) => error.message);
    assert.match(String(await taken), /UDP port 4789, of VXLAN cx\d+, is in use on this host/);
    await other.stop();
    await createNetwork(a, heal({ 'cleat.peers': 'one,two' }));
    await eventually('the other host has none', async () => {
      const [peer] = await askPeers(a);
      return peer?.state === 'nobody listens there: no cleat-networkd, or no overlay network yet';
    });
    const another = { ...b, networkId: randomId() };
    await createNetwork(another, { options: { 'cleat.network': 'another' }, pool: '10.8.0.0/24' });
    await eventually('the other host has another one', async () => {
      const [peer] = await askPeers(a);
      return peer?.state === 'connected' && peer.problem === 'it has no network heal';
    });
    await b.client.network.deleteNetwork(another);
    await createNetwork(b, heal({ 'cleat.peers': 'one, two' }));
    const noSuch = a.daemon.cleat('overlay', 'peers', '-n', 'nosuch').catch((error: CommandError) => error.stderr);
    assert.match(await noSuch, /no overlay network nosuch; it has heal/);
    const first = await attach(b, '10.9.0.130/24');
    await knows(a, '10.9.0.130 all');
    assert.equal(
      (await askPeers(a)).map(({ problem }) => problem),
      [''],
    );

    const twice = createNetwork({ ...a, networkId: randomId() }, heal()).catch((error: Error) => error.message);
    assert.match(String(await twice), /name heal belongs to the network/);

    await one.sh(`ip link del ${cx}`);
    await knows(a, '10.9.0.130 all');
    await one.sh('ip link del $(ip -o link show type bridge | grep -o "cl-[0-9a-f]*" | head -1)');
    await knows(a, '10.9.0.130 all');

    const [, mac] =
      /^10\.9\.0\.130 dev cl-\S+ lladdr (\S+)/m.exec(await one.sh('ip -4 neigh show nud permanent')) ?? [];
    const told = () => [...a.daemon.log().matchAll(/entries that somebody changed were put right/g)].length;
    const before = told();
    await one.sh(
      `bridge fdb del ${mac} dev ${cx} self
       bridge fdb del ${mac} dev ${cx} master
       bridge fdb del 00:00:00:00:00:00 dev ${cx} dst 192.0.2.2
       ip neigh flush 10.9.0.130 nud permanent`,
    );
    await eventually('a line in the log', () => told() > before);
    await knows(a, '10.9.0.130 all');

    // While the first daemon is away, one container goes and another comes.
    await a.daemon.kill();
    await b.client.network.leave({ networkId: b.networkId, endpointId: first });
    await b.client.network.deleteEndpoint({ networkId: b.networkId, endpointId: first });
    await attach(b, '10.9.0.131/24');
    assert.is(await known(a), '10.9.0.130 all', 'the data plane stays as it was');
    await a.daemon.start();
    await knows(a, '10.9.0.131 all');

    // The other host is gone for good, while nobody looked.
    await a.daemon.kill();
    await b.daemon.kill();
    await a.daemon.start();
    assert.is(await known(a), '10.9.0.131 all', 'within the lease');
    await knows(a, '');
    await a.client.network.deleteNetwork({ networkId: a.networkId });
    assert.is(await one.sh("ip -o link | grep -E ' (cx|cl-|cv)' || true"), '');
  } finally {
    await close();
  }
});

test('over IPv6, with a daemon that is killed at any moment: traffic never stops, and both know the same in the end', async () => {
  const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 4);
  const underlay = ['2001:db8::1', '2001:db8::2'] as const;
  const { one, two, close } = await twoHosts(underlay);
  try {
    const a = await start(one, { peers: underlay, lease: '30s' });
    const b = await start(two, { peers: underlay, lease: '30s' });
    for (const machine of [a, b]) await createNetwork(machine, heal());
    await plug(a, await attach(a, '10.9.0.10/24'), '10.9.0.10/24');
    await plug(b, await attach(b, '10.9.0.130/24'), '10.9.0.130/24');
    await Promise.all([knows(a, '10.9.0.130 all'), knows(b, '10.9.0.10 all')]);
    await eventually('a ping', () => one.sh('ip netns exec box ping -c1 -W1 10.9.0.130'));
    assert.match(await one.sh('ip netns exec box ip link show dev eth0'), /mtu 1430/);

    const pings = stream(a, '10.9.0.130', 0.1);
    for (let round = 0; round < rounds; round += 1) {
      // An engine repeats a call that died with the daemon.
      const calls = Promise.allSettled([attach(a, `10.9.0.${20 + round}/24`), attach(b, `10.9.0.${140 + round}/24`)]);
      await delay(Math.random() * 40);
      await a.daemon.kill();
      await a.daemon.start();
      await calls;
      // Asked anew each time: links that nobody moves into a sandbox are taken back after half a minute.
      await eventually('both know the same', async () => {
        const [ofB, saidByB, ofA, saidByA] = await Promise.all([known(a), told(b), known(b), told(a)]);
        return ofB === saidByB && ofA === saidByA;
      });
    }
    assert.equal(await pings.lost(), []);
  } finally {
    await close();
  }
});

/** What the other host should know of this one. */
async function told({ daemon }: Machine): Promise<string> {
  const { endpoints } = JSON.parse(await daemon.cleat('status', '--json'));
  const rows: { state: string; addresses: string[] }[] = endpoints ?? [];
  const joined = rows.filter(({ state }) => state === 'joined').flatMap(({ addresses }) => addresses);
  return [...joined.sort(), 'all'].join(' ');
}

test.run();
