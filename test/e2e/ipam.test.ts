/**
 * cleat-ipam under real engines, with their own bridge driver: `docker network create -d bridge --ipam-driver cleat-ipam`.
 *
 *     host ─┬─ dockerd (built-in bridge) ── containers
 *           └─ cleat-networkd, which also watches /run/docker.sock for addresses that nobody has any more
 */
import { rmSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { callControl } from '../../plugins/cli/control.ts';
import type { AddressStatus, IpamStatus } from '../../plugins/network/ipam/status.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, type EngineVersion, startEngine, usualEngines } from '../support/engine.ts';
import { createHost } from '../support/host.ts';
import { missing } from '../support/requires.ts';

const defaultPool = { base: '10.213.0.0/24', size: 26 };

const readStatus = (networkd: Daemon): Promise<IpamStatus> =>
  callControl<IpamStatus>(networkd.host.path(networkd.runDir), 'networkd', 'GET', '/status');

async function readAddresses(networkd: Daemon, pool: string, kind: string): Promise<AddressStatus[]> {
  return (await readStatus(networkd)).addresses.filter((address) => address.pool === pool && address.kind === kind);
}

const standardConfig = { ipam: { 'default-address-pools': [defaultPool], grace: '1s' } };

type OnEngine = [
  run: (engine: Engine, networkd: Daemon) => Promise<void>,
  config?: Readonly<Record<string, unknown>>,
  liveRestore?: boolean,
];

async function onEngine(
  version: EngineVersion,
  ...[run, config = standardConfig, liveRestore = false]: OnEngine
): Promise<void> {
  const host = await createHost({ name: `ipam${version.replace('.', '')}` });
  let networkd: Daemon | undefined;
  try {
    networkd = await startDaemon('networkd', host, { config });
    await run(await startEngine({ version, host, liveRestore }), networkd);
  } catch (error) {
    console.log(version, networkd?.log().split('\n').slice(-30).join('\n'));
    throw error;
  } finally {
    await host.close();
  }
}

const create = (engine: Engine, name: string, ...more: string[]): Promise<string> =>
  engine.docker('network', 'create', '-d', 'bridge', '--ipam-driver', 'cleat-ipam', ...more, name);
const runContainer = (engine: Engine, network: string, name: string, ...more: string[]): Promise<string> =>
  engine.docker('run', '-d', '--network', network, '--name', name, ...more, 'busybox', 'sleep', '600');
/** By an API that both engines have: newer commands refuse `--mac-address` to older engines. */
const runWithMac = async (engine: Engine, network: string, name: string, mac: string): Promise<void> => {
  const body = { Image: 'busybox', Cmd: ['sleep', '600'], MacAddress: mac, HostConfig: { NetworkMode: network } };
  assert.is((await engine.api('POST', `/v1.41/containers/create?name=${name}`, body)).status, 201);
  await engine.docker('start', name);
};
const addressOf = (engine: Engine, name: string, field = 'IPAddress'): Promise<string> =>
  engine.docker('inspect', '-f', `{{range .NetworkSettings.Networks}}{{.${field}}}{{end}}`, name);
const failure = async (what: Promise<unknown>): Promise<string> =>
  what.then(
    () => assert.unreachable('succeeded') as never,
    (error: Error) => error.message + String((error as { stderr?: string }).stderr ?? ''),
  );

async function pools(engine: Engine, networkd: Daemon): Promise<void> {
  await engine.host.run('ip', ['route', 'add', 'blackhole', '10.213.0.0/26']);
  await create(engine, 'auto');
  assert.is(
    await engine.docker('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Subnet}}', 'auto'),
    '10.213.0.64/26',
  );
  await runContainer(engine, 'auto', 'a1');
  assert.is(await addressOf(engine, 'a1'), '10.213.0.66');
  await engine.docker('exec', 'a1', 'ping', '-c', '1', '10.213.0.65');
  const named = await eventually('the engine told the names', async () => {
    const { pools: list } = await readStatus(networkd);
    return list.find((pool) => pool.network === 'auto');
  });
  assert.equal([named.pool, named.gateway, named.used, named.free], ['10.213.0.64/26', '10.213.0.65', 2, '60']);
  await eventually(
    'the container is known by name',
    async () => (await readAddresses(networkd, named.pool, 'endpoint'))[0]?.owner === 'a1',
  );
  // Released at the stop; the next one is another.
  await engine.docker('stop', '-t', '0', 'a1');
  await engine.docker('start', 'a1');
  assert.is(await addressOf(engine, 'a1'), '10.213.0.67');
  const refused = await failure(create(engine, 'clash', '--subnet', '10.213.0.64/27'));
  assert.match(refused, /10\.213\.0\.64\/27 overlaps 10\.213\.0\.64\/26 of network auto.*IPAM_POOL_OVERLAP/);
  assert.match(await failure(create(engine, 'odd', '--ipam-opt', 'cleat.stiky=1h')), /did you mean "cleat\.sticky"/);
  await create(engine, 'two');
  await create(engine, 'three');
  assert.match(await failure(create(engine, 'four')), /no default IPv4 pool is free.*IPAM_POOLS_EXHAUSTED/);
  await engine.docker('rm', '-f', 'a1');
  await engine.docker('network', 'rm', 'auto', 'two', 'three');
  if (engine.version === '28') {
    // Newer engines leave the IPv6 subnet to the IPAM too.
    await create(engine, 'six', '--ipv6');
    await runContainer(engine, 'six', 's1');
    assert.match(await addressOf(engine, 's1', 'GlobalIPv6Address'), /^fd[0-9a-f]{2}:.*::2$/);
    await engine.docker('rm', '-f', 's1');
    await engine.docker('network', 'rm', 'six');
  }
  await eventually('every pool is released', async () => (await readStatus(networkd)).pools.length === 0);
  await engine.host.run('ip', ['route', 'del', 'blackhole', '10.213.0.0/26']);
}

async function options(engine: Engine, networkd: Daemon): Promise<void> {
  const four = [
    '--subnet',
    '10.101.0.0/16',
    '--ip-range',
    '10.101.5.0/29',
    '--gateway',
    '10.101.0.254',
    '--aux-address',
    'router=10.101.5.2',
  ];
  await create(engine, 'opts', ...four, '--ipv6', '--subnet', 'fd33::/64', '--ipam-opt', 'cleat.warn=70');
  const [one, two] = await Promise.all(
    ['o1', 'o2'].map(async (name) => runContainer(engine, 'opts', name).then(() => addressOf(engine, name))),
  );
  assert.equal([one, two].sort(), ['10.101.5.1', '10.101.5.3']);
  assert.match(await addressOf(engine, 'o1', 'GlobalIPv6Address'), /^fd33::[23]$/);
  await runContainer(engine, 'opts', 'fixed', '--ip', '10.101.77.7', '--ip6', 'fd33::77');
  assert.equal(
    [await addressOf(engine, 'fixed'), await addressOf(engine, 'fixed', 'GlobalIPv6Address')],
    ['10.101.77.7', 'fd33::77'],
  );
  await engine.docker('exec', 'o1', 'ping', '-c', '1', '10.101.77.7');
  await engine.docker('exec', 'o1', 'ping', '-6', '-c', '1', 'fd33::77');
  assert.match(
    await failure(runContainer(engine, 'opts', 'o3', '--ip', '10.101.77.7')),
    /10\.101\.77\.7.*in use.*IPAM_ADDRESS_IN_USE/,
  );
  assert.match(
    await failure(runContainer(engine, 'opts', 'o4', '--ip', '10.101.255.255')),
    /broadcast.*IPAM_ADDRESS_RESERVED/,
  );
  await engine.docker('rm', 'o3', 'o4');
  for (const name of ['o5', 'o6', 'o7']) await runContainer(engine, 'opts', name);
  assert.match(
    (await readStatus(networkd)).warnings.map(({ message }) => message).join(),
    /10\.101\.0\.0\/16 is nearly full/,
  );
  const kinds = (await readStatus(networkd)).addresses
    .filter(({ pool }) => pool === '10.101.0.0/16')
    .map(({ kind }) => kind);
  assert.equal(
    [kinds.filter((kind) => kind === 'gateway').length, kinds.filter((kind) => kind === 'endpoint').length],
    [1, 6],
  );
  // The static address of a stopped container is nobody else's, so it starts again.
  await engine.docker('stop', '-t', '0', 'fixed');
  await engine.docker('start', 'fixed');
  assert.is(await addressOf(engine, 'fixed'), '10.101.77.7');
  await engine.docker('rm', '-f', 'o1', 'o2', 'o5', 'o6', 'o7', 'fixed');
  await engine.docker('network', 'rm', 'opts');
}

async function leaks(engine: Engine, networkd: Daemon): Promise<void> {
  await create(engine, 'leaky', '--subnet', '10.102.0.0/24');
  await runContainer(engine, 'leaky', 'lost');
  await runContainer(engine, 'leaky', 'kept');
  await networkd.kill();
  // The engine tries its release for 15 s, then forgets it.
  await engine.docker('rm', '-f', 'lost');
  await networkd.start();
  const before = await readAddresses(networkd, '10.102.0.0/24', 'endpoint');
  assert.equal(
    before.map(({ address }) => address),
    ['10.102.0.2', '10.102.0.3'],
    'the release never came',
  );
  await eventually(
    'the leaked address is freed',
    async () => {
      // Any change of a network makes the watcher look.
      await engine.docker('network', 'create', 'tick');
      await engine.docker('network', 'rm', 'tick');
      return (
        (await readAddresses(networkd, '10.102.0.0/24', 'endpoint')).map(({ address }) => address).join() ===
        '10.102.0.3'
      );
    },
    { timeoutMs: 60_000, everyMs: 500 },
  );
  assert.match(networkd.log(), /address freed: no endpoint has it any more/);
  // The whole state is lost: the running container's address is learned again, and not given to another.
  await networkd.kill();
  rmSync(networkd.stateDir, { recursive: true });
  await networkd.start();
  await eventually(
    'the address is taken in',
    async () => (await readAddresses(networkd, '10.102.0.0/24', 'endpoint'))[0]?.address === '10.102.0.3',
  );
  await runContainer(engine, 'leaky', 'n1');
  await runContainer(engine, 'leaky', 'n2');
  assert.equal([await addressOf(engine, 'n1'), await addressOf(engine, 'n2')], ['10.102.0.2', '10.102.0.4']);
  await engine.docker('rm', '-f', 'kept', 'n1', 'n2');
  await engine.docker('network', 'rm', 'leaky');
  assert.equal((await readStatus(networkd)).pools, []);
}

/** An engine that repeats at its start what it has stored gets the same, and running containers keep what they have. */
async function replay(engine: Engine, networkd: Daemon): Promise<void> {
  await create(
    engine,
    'again',
    '--ip-range',
    '10.213.0.64/26',
    '--subnet',
    '10.213.0.0/24',
    '--aux-address',
    'x=10.213.0.70',
  );
  await runContainer(engine, 'again', 'r1');
  const address = await addressOf(engine, 'r1');
  const before = (await readStatus(networkd)).addresses.map((each) => each.address);
  await engine.kill();
  await engine.start();
  assert.is(networkd.log().split('"IpamDriver.RequestPool"').length - 1, 2, 'the engine asked again');
  assert.equal(
    (await readStatus(networkd)).addresses.map((each) => each.address),
    before,
  );
  assert.is(await addressOf(engine, 'r1'), address);
  await runContainer(engine, 'again', 'r2');
  assert.is.not(await addressOf(engine, 'r2'), address);
  await engine.docker('exec', 'r2', 'ping', '-c', '1', address);
  // Where the engine tells MAC addresses, one that the user chose brings the address back.
  await runWithMac(engine, 'again', 'r3', '02:00:5e:00:53:03');
  const third = await addressOf(engine, 'r3');
  await engine.docker('rm', '-f', 'r3');
  await runContainer(engine, 'again', 'r4');
  await runWithMac(engine, 'again', 'r3', '02:00:5e:00:53:03');
  assert.is(await addressOf(engine, 'r3'), third);
  assert.is.not(await addressOf(engine, 'r4'), third);
  await engine.docker('rm', '-f', 'r1', 'r2', 'r3', 'r4');
  await engine.docker('network', 'rm', 'again');
  assert.equal((await readStatus(networkd)).pools, []);
}

/** With cleat's own network driver, which reports its endpoints too; over kills of both sides. */
async function ownDriver(engine: Engine, networkd: Daemon): Promise<void> {
  await engine.docker('network', 'create', '-d', 'cleat-bridge', '--ipam-driver', 'cleat-ipam', 'own');
  await runContainer(engine, 'own', 'w1', '--restart', 'always');
  const { pool } = await eventually('both sources know the network', async () => {
    const entry = (await readStatus(networkd)).pools.find(({ network }) => network === 'own');
    return entry !== undefined && (await readAddresses(networkd, entry.pool, 'endpoint'))[0]?.owner === 'w1' && entry;
  });
  await networkd.kill();
  await networkd.start();
  assert.is((await readAddresses(networkd, pool, 'endpoint'))[0]?.address, await addressOf(engine, 'w1'));
  await engine.kill();
  await engine.start();
  await eventually('the container is up again', async () => (await addressOf(engine, 'w1')) !== '');
  await runContainer(engine, 'own', 'w2');
  const [one, two] = [await addressOf(engine, 'w1'), await addressOf(engine, 'w2')];
  assert.is.not(one, two);
  await engine.docker('exec', 'w2', 'ping', '-c', '1', one);
  const held = (await readAddresses(networkd, pool, 'endpoint')).map(({ address }) => address);
  assert.equal(held.sort(), [one, two].sort(), 'the engine released what it had before it was killed');
  await engine.docker('rm', '-f', 'w1', 'w2');
  await engine.docker('network', 'rm', 'own');
  assert.equal((await readStatus(networkd)).pools, []);
}

const versions = usualEngines.filter((version) => {
  const reason = missing('root', 'bridge', `engine-${version}`);
  if (reason !== undefined) console.log(`# skip: ${reason}`);
  return reason === undefined;
});

/** On all engines at the same time: most of it is an engine waiting for a plugin that is down. */
async function onEngines(...[run, config, liveRestore]: OnEngine): Promise<void> {
  const outcomes = await Promise.allSettled(versions.map((version) => onEngine(version, run, config, liveRestore)));
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === 'rejected') throw new Error(`engine ${versions[index]}`, { cause: outcome.reason });
  }
}

if (versions.length > 0) {
  test(`engines ${versions.join(', ')}: pools, options, leaks, our own driver`, () =>
    onEngines(async (engine, networkd) => {
      await pools(engine, networkd);
      await options(engine, networkd);
      await leaks(engine, networkd);
      await ownDriver(engine, networkd);
    }));
  test(`engines ${versions.join(', ')}: replay with live restore, and MAC addresses`, () => {
    const config = { ipam: { 'default-address-pools': [defaultPool], 'request-replay': true, 'require-mac': true } };
    return onEngines(replay, config, true);
  });
}

test.run();
