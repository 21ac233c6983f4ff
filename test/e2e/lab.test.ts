/** The lab's scripts about networks hold what they claim; one that is interrupted takes everything down. */
import { spawn, spawnSync } from 'node:child_process';
import { test } from 'uvu';
import { is, match, ok } from 'uvu/assert';
import { deadline } from '../support/deadline.ts';
import { isAboutStorage, labFolder, labScripts, passes, testOnDocker, topologyScripts } from '../support/lab.ts';
import { requires } from '../support/requires.ts';

requires('root', 'bridge', 'veth', 'nftables', 'engine-20.10', 'program:conntrack');

await testOnDocker(labScripts.filter((name) => !isAboutStorage(name)));

for (const script of topologyScripts)
  test(script, () => {
    passes(script);
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
