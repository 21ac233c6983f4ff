/**
 * kill -9 of cleat-networkd at random moments under a loop of run, connect, disconnect and rm: the engine never hangs, the
 * container that runs all along keeps its traffic, and nothing is left in the end. CLEAT_ROUNDS sets the number of kills.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type EngineVersion, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { killUnderLoad, removeEverything } from '../support/kill-rounds.ts';
import { missing, requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables', 'engine-20.10');

const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 6);
const version: EngineVersion = missing('engine-28') === undefined ? '28' : '20.10';

test(`${rounds} kills under load of Docker ${version}`, async () => {
  const host = await createHost({ name: 'kill' });
  try {
    const daemon = await startDaemon('networkd', host, { logLevel: 'info' });
    const engine = await startEngine({ version, host });
    const clean = await leftovers(host);
    const { docker } = engine;
    await docker(
      'network',
      'create',
      '-d',
      'cleat-bridge',
      '--ipam-driver',
      'cleat-ipam',
      '--subnet',
      '192.0.2.0/24',
      'one',
    );
    await docker(
      'network',
      'create',
      '-d',
      'cleat-bridge',
      '--ipam-driver',
      'cleat-ipam',
      '--subnet',
      '203.0.113.0/24',
      'two',
    );
    await docker(
      'run',
      '-d',
      '--name',
      'steady',
      '--net',
      'one',
      '-p',
      '8080:80',
      '-p',
      '9000-9009:9000-9009',
      'busybox',
      'sh',
      '-c',
      'nc -ll -p 80 -e cat & exec nc -ll -p 9000 -e cat',
    );
    const stream = startStream(host);
    await eventually('the stream', () => stream.output().includes('ok'));

    await killUnderLoad({
      daemon,
      engine,
      rounds,
      turnOf,
      whileDown: async () =>
        assert.match(await echo(host, 8080), /^hello$/, 'a new connection while the daemon is down'),
    });
    assert.ok(stream.running(), `the stream ended: ${stream.output().slice(-200)}`);
    const lines = stream.output().split('\n').length;
    await eventually('the stream goes on', () => stream.output().split('\n').length > lines);
    await stream.kill();

    await removeEverything(engine, 'cleat-bridge', ['one', 'two']);
    await eventually('a clean host', async () => (await leftovers(host)) === clean, {
      timeoutMs: 60_000,
      everyMs: 500,
    });
    const status = JSON.parse(await daemon.cleat('status', 'networks', 'endpoints', 'ports', '--json'));
    assert.equal(status, { networks: [], endpoints: [], ports: [] });
    const pools = JSON.parse(await daemon.cleat('status', 'pools', '--json')) as { pools: unknown[] };
    assert.equal(pools, { pools: [] });
  } catch (error) {
    process.stderr.write(await host.sh('ip -br link; nft list table inet cleat | tail -40').catch(() => ''));
    throw error;
  } finally {
    await host.close();
  }
});

function turnOf(worker: number, turn: number): string[][] {
  const name = `w${worker}-${turn}`;
  const port = 10_000 + worker * 1000 + (turn % 1000);
  return [
    [
      'run',
      '-d',
      '--name',
      name,
      '--net',
      'one',
      '-p',
      `${port}:80`,
      '-p',
      `${port}:53/udp`,
      'busybox',
      'sleep',
      '1000',
    ],
    ['network', 'connect', 'two', name],
    ['network', 'disconnect', 'one', name],
    ['network', 'connect', 'one', name],
    ['rm', '-f', name],
  ];
}

/** One connection through the published port for the whole time, a line every 100 ms and its echo. */
function startStream(host: Host) {
  const script =
    'exec 3<>/dev/tcp/127.0.0.1/9000; while :; do echo ping >&3; read -t 5 -u 3 line || exit 1; echo ok; sleep 0.1; done';
  return host.start('bash', ['-c', script]);
}

function echo(host: Host, port: number): Promise<string> {
  return host.sh(`echo hello | timeout 5 socat -t 1 - TCP4:127.0.0.1:${port},connect-timeout=2`);
}

function leftovers(host: Host): Promise<string> {
  return host.sh(
    "ip -o link | awk '{ print $2 }' | sort; nft list table inet cleat 2>/dev/null || true; ip rule; ip route",
  );
}

test.run();
