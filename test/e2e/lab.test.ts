/**
 * The lab's scripts, one after another on one host with an engine: every claim in them holds, and each leaves the host as it
 * was. And one that is interrupted takes everything down.
 */
import { spawn, spawnSync } from 'node:child_process';
import { test } from 'uvu';
import { equal, is, match, ok } from 'uvu/assert';
import { deadline } from '../support/deadline.ts';
import { startEngine } from '../support/engine.ts';
import { createHost } from '../support/host.ts';
import { labFolder, labScripts, passesIn } from '../support/lab.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables', 'engine-20.10', 'program:conntrack');

const host = await createHost({ name: 'lab' });
const engine = await startEngine({ version: '20.10', host, images: [] });
test.after(() => host.close());

const leftBehind = async () => ({
  links: await host.sh('ip -json link | jq -r ".[].ifname"'),
  tables: await host.sh('nft list tables | grep cleat || true'),
  namespaces: await host.sh('ip netns list'),
  mounts: await host.sh('cut -d" " -f5 /proc/self/mountinfo | grep -vE "^/run/(docker/)?netns" | sort'),
  containers: await engine.docker('ps', '-aq'),
  networks: await engine.docker('network', 'ls', '--format', '{{.Name}}'),
  volumes: await engine.docker('volume', 'ls', '-q'),
});
const before = await leftBehind();

for (const script of labScripts)
  test(script, async () => {
    const { stderr } = await passesIn(host, script, { DOCKER_HOST: 'unix:///run/docker.sock' });
    match(stderr, /running on Docker 20\.10.*\n/);
    equal(await leftBehind(), before);
  });

test('--help prints the header, a wrong flag is refused', () => {
  const help = spawnSync(`${labFolder}${labScripts[0]}`, ['--help'], { encoding: 'utf8' });
  is(help.status, 0);
  match(help.stdout, /usage: .* \[--own \| --shim\]/);
  is(spawnSync(`${labFolder}${labScripts[0]}`, ['--nothing'], { encoding: 'utf8' }).status, 2);
});

test('--own brings an engine; an interrupted script takes everything down and says so by its exit code', async () => {
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
