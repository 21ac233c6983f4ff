/** The lab's scripts on an engine of their own: every claim in them holds. And one that is interrupted takes everything down. */
import { spawn, spawnSync } from 'node:child_process';
import { test } from 'uvu';
import { is, match, ok } from 'uvu/assert';
import { deadline } from '../support/deadline.ts';
import { startEngine } from '../support/engine.ts';
import { createHost } from '../support/host.ts';
import { labFolder, labScripts, passes } from '../support/lab.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables', 'engine-20.10', 'program:conntrack');

for (const script of labScripts) test(script, () => passes(script, '--own'));

test('where an engine runs, a script runs there, and leaves the host as it was', async () => {
  const host = await createHost();
  try {
    const engine = await startEngine({ version: '20.10', host, images: [] });
    const before = await host.sh('ip -json link | jq -r ".[].ifname"');
    const env = { DOCKER_HOST: 'unix:///run/docker.sock', CLEAT_CACHE: `${host.dir}/cache` };
    const { stdout, stderr } = await host.run(`${labFolder}static-addresses.sh`, [], { timeoutMs: 120_000, env });
    match(stdout, /checks passed/);
    match(stderr, /running on Docker 20\.10.*\n.*starting cleat-networkd/);
    is(await engine.docker('ps', '-aq'), '');
    is(await host.sh('ip -json link | jq -r ".[].ifname"'), before);
    is(await host.sh('nft list tables | grep cleat || true'), '');
  } finally {
    await host.close();
  }
});

test('--help prints the header, a wrong flag is refused', () => {
  const help = spawnSync(`${labFolder}${labScripts[0]}`, ['--help'], { encoding: 'utf8' });
  is(help.status, 0);
  match(help.stdout, /usage: .* \[--own \| --shim\]/);
  is(spawnSync(`${labFolder}${labScripts[0]}`, ['--nothing'], { encoding: 'utf8' }).status, 2);
});

test('an interrupted script takes everything down and says so by its exit code', async () => {
  const child = spawn(`${labFolder}bridge-isolation.sh`, ['--own'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const { promise, resolve } = Promise.withResolvers<void>();
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    if (output.includes('Neighbours on one network')) resolve();
  });
  const exited = new Promise<number | null>((end) => child.once('exit', end));
  await deadline('the script is half-way', 60_000, promise);
  // To the whole group, as a terminal does for Ctrl-C.
  process.kill(-(child.pid as number), 'SIGINT');
  is(await deadline('it ends', 60_000, exited), 130);
  match(output, /stopped; everything is taken down/);
  ok(!output.includes('checks passed'));
});

test.run();
