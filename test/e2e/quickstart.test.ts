/** The first command of the README, on a host of its own: twice, killed half-way, beside what already runs, and down again. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { equal, is, match, ok } from 'uvu/assert';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables', 'engine-20.10');

const quickstart = fileURLToPath(new URL('../../lab/quickstart', import.meta.url));

interface Result {
  readonly engine: string;
  readonly network: { readonly driver: string; readonly subnet: string };
  readonly containers: readonly { readonly name: string; readonly address: string }[];
  readonly published: { readonly hostPort: number };
}

const envOf = (host: Host) => ({ CLEAT_CACHE: join(host.dir, 'cache') });

async function run(host: Host, ...args: readonly string[]): Promise<string> {
  return (await host.run(quickstart, args, { timeoutMs: 120_000, env: envOf(host) })).stdout;
}

async function links(host: Host): Promise<string[]> {
  return JSON.parse(await host.sh('ip -json link')).map((link: { ifname: string }) => link.ifname);
}

for (const [engine, flags] of [
  ['cleat-shim', []],
  ['Docker', ['--docker']],
] as const) {
  test(`from nothing, with ${engine}: daemons, a network, two containers; twice; and everything gone again`, async () => {
    const host = await createHost();
    try {
      for (let round = 0; round < 2; round += 1) {
        const result = JSON.parse(await run(host, ...flags, '--json')) as Result;
        match(result.engine, new RegExp(`^${engine} .*started by this script`));
        is(result.network.driver, 'cleat-bridge');
        equal(
          result.containers.map(({ name }) => name),
          ['cleat-client', 'cleat-web'],
        );
        const url = `http://127.0.0.1:${result.published.hostPort}/`;
        match(await host.sh(`curl -sS --max-time 5 ${url}`), /over a cleat network/);
      }
      match(await run(host, ...flags), /NETWORK\s+DRIVER\s+SUBNET/);
      await run(host, '--down');
      await nothingIsLeft(host);
      await run(host, '--down');
    } finally {
      await host.close();
    }
  });
}

async function nothingIsLeft(host: Host): Promise<void> {
  equal(await links(host), ['lo']);
  is(await host.sh('nft list tables'), '');
  is(existsSync(join(host.dir, 'cache/quickstart')), false);
  is(existsSync(host.path('/run/cleat')), false);
  // The host's own process 1 and what it waits with, and this command.
  const left = (await host.sh('ps -e -o comm=')).split('\n').filter((name) => !/^(bash|sleep|ps)$/.test(name));
  equal(left, []);
}

test('a run that was killed half-way is no trouble to the next one', async () => {
  const host = await createHost();
  try {
    const first = host.start(quickstart, [], { env: envOf(host) });
    await eventually('it is half-way', () => first.output().includes('docker network create'), { timeoutMs: 60_000 });
    await first.kill();
    const result = JSON.parse(await run(host, '--json')) as Result;
    is(result.containers.length, 2);
    await run(host, '--down');
    await nothingIsLeft(host);
  } finally {
    await host.close();
  }
});

test('an engine and a daemon that already run are used and left alone', async () => {
  const host = await createHost();
  try {
    const networkd = await startDaemon('networkd', host);
    const engine = await startEngine({ version: '20.10', host, images: [] });
    const env = { ...envOf(host), DOCKER_HOST: 'unix:///run/docker.sock' };
    const { stdout } = await host.run(quickstart, ['--docker', '--json'], { timeoutMs: 120_000, env });
    ok(!(JSON.parse(stdout) as Result).engine.includes('started by this script'));
    await host.run(quickstart, ['--down'], { timeoutMs: 60_000, env });
    ok(networkd.running());
    is(await engine.docker('ps', '-aq'), '');
    is(await engine.docker('network', 'ls', '-q', '--filter', 'driver=cleat-bridge'), '');
  } finally {
    await host.close();
  }
});

test('what it does not know it refuses, and --help needs nothing', async () => {
  const host = await createHost();
  try {
    match(await run(host, '--help'), /^Usage: lab\/quickstart/);
    const refused = await run(host, '--dwon').catch((error: { exitCode: number; stderr: string }) => error);
    if (typeof refused === 'string') throw new Error('a wrong flag was taken');
    is(refused.exitCode, 2);
    match(refused.stderr, /does not know "--dwon"/);
    for (const flags of [
      ['--down', '--setup-only'],
      ['--json', '--down'],
    ]) {
      const both = await run(host, ...flags).catch((error: { exitCode: number }) => error);
      is(typeof both === 'string' ? 0 : both.exitCode, 2, flags.join(' '));
    }
  } finally {
    await host.close();
  }
});

test.run();
