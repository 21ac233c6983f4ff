/**
 * Many short commands at the shim and at Docker 28 side by side, by the same docker command: the same exit code, output and
 * messages. Each engine has a host of its own, so that networks, ports and names are the same on both.
 */
import * as assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { CommandError, type CommandResult } from '../../plugins/linux/command.ts';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import {
  commands,
  composeProject,
  composeScript,
  olderClientCommands,
  pythonScript,
  refused,
} from '../support/docker-commands.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import type { CliResult } from '../support/shim.ts';

requires('root', 'overlayfs', 'engine-28', 'program:conmon', 'bridge', 'nftables');

const test = suite('side by side with Docker 28');
/** Debian 12's own, whatever else is on the PATH. */
const olderClient = '/usr/bin/docker';
let engine: Engine;
let host: Host;
let shimSocket: string;

test.before(async () => {
  engine = await startEngine({ version: '28' });
  host = await createHost({ name: 'beside' });
  await Promise.all(
    (['networkd', 'volumed', 'logd'] as const).map((name) => startDaemon(name, host, { logLevel: 'info' })),
  );
  // In the folder that both hosts see.
  shimSocket = `unix://${join(engine.host.dir, 'shim.sock')}`;
  await startDaemon('shim', host, { args: ['-H', shimSocket] });
  const archive = join(engine.host.dir, 'busybox.tar');
  await engine.docker('save', '-o', archive, 'busybox');
  const loaded = await inRoot(shimSocket, ['load', '-i', archive]);
  assert.equal(loaded.code, 0, loaded.stderr);
  await eventually(
    'the default network',
    async () => (await inRoot(shimSocket, ['network', 'inspect', 'bridge'])).code === 0,
  );
});
test.after(async () => {
  await engine?.close();
  await host?.close();
});

test('the same exit code, output and messages', () => compareLines(commands, inRoot));

test('the same to the docker command of 20.10', () =>
  compareLines(olderClientCommands, (server, args) =>
    finished(engine.host.run(olderClient, args, { env: { DOCKER_HOST: server }, timeoutMs: 60_000 })),
  ));

test('what the shim does not do is refused with what to do instead', async () => {
  for (const [line, words] of Object.entries(refused)) {
    const [theirs, ours] = await both((server) => inRoot(server, splitWords(line)));
    assert.equal(ours.code, theirs.code, `docker ${line}`);
    assert.match(ours.stderr.replaceAll('\n', ' '), words, `docker ${line}`);
  }
});

test('a compose project', async () => {
  const file = join(engine.host.dir, 'compose.yaml');
  writeFileSync(file, composeProject);
  const script = composeScript.replace('FILE', file);
  const [theirs, ours] = await both((server) => inRoot(server, ['$', script], 300_000));
  assert.deepEqual(normalize(ours), normalize(theirs));
  assert.match(ours.stdout, /down 0/);
});

test('another client library', async () => {
  const [theirs, ours] = await both((server) =>
    finished(
      engine.host.run('/usr/bin/python3', ['-I', '-c', pythonScript], {
        env: { DOCKER_HOST: server },
        timeoutMs: 180_000,
      }),
    ),
  );
  assert.equal(ours.stderr, '');
  assert.deepEqual(JSON.parse(normalize(ours).stdout), JSON.parse(normalize(theirs).stdout));
});

/** Both at a time; the engine first. */
function both(ask: (server: string) => Promise<CliResult>): Promise<[CliResult, CliResult]> {
  return Promise.all([ask('unix:///run/docker.sock'), ask(shimSocket)]);
}

async function compareLines(
  table: string,
  ask: (server: string, args: readonly string[]) => Promise<CliResult>,
): Promise<void> {
  const problems: string[] = [];
  for (const line of table.split('\n').filter((text) => text !== '' && !text.startsWith('#'))) {
    const args = line.startsWith('$ ') ? ['$', line.slice(2)] : splitWords(line);
    const [theirs, ours] = await both((server) => ask(server, args));
    const [expected, found] = [normalize(theirs), normalize(ours)];
    if (JSON.stringify(expected) !== JSON.stringify(found))
      problems.push(`docker ${line}\n  engine ${JSON.stringify(expected)}\n  shim   ${JSON.stringify(found)}`);
  }
  assert.equal(problems.length, 0, `\n${problems.join('\n')}`);
}

/** The docker command of the engine's root, or after `$` a line of shell there. */
function inRoot(server: string, args: readonly string[], timeoutMs = 90_000): Promise<CliResult> {
  const [file, ...rest] = args[0] === '$' ? ['bash', '-c', args[1] ?? ''] : ['docker', ...args];
  return finished(engine.run({ env: { DOCKER_HOST: server }, timeoutMs }, file as string, ...rest));
}

async function finished(running: Promise<CommandResult>): Promise<CliResult> {
  try {
    const { stdout, stderr } = await running;
    return { code: 0, stdout, stderr };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    // One that did not end is shown among the others.
    return { code: error.exitCode ?? -1, stdout: error.stdout, stderr: error.stderr || error.message };
  }
}

/** Words as a shell splits them: double quotes keep blanks, a backslash keeps a quote. */
function splitWords(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(
    ([, quoted, plain]) => plain ?? (quoted ?? '').replaceAll('\\"', '"'),
  );
}

/** Ids, times and process numbers differ by nature; the two roots have two versions of runc. */
function normalize({ code, stdout, stderr }: CliResult): CliResult {
  const clean = (text: string) =>
    text
      .replaceAll(/\b[0-9a-f]{64}\b/g, 'ID')
      .replaceAll(/\b[0-9a-f]{12}\b/g, 'SHORT')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/(About a minute|Less than a second|\d+ (seconds?|minutes?)) ago/g, 'AGO')
      .replaceAll(/(sleep +)[0-9]+/g, '$1PID')
      .replaceAll('error during container init: ', '')
      .replaceAll(/ {2,}/g, ' ')
      .trim();
  return { code, stdout: clean(stdout), stderr: clean(stderr) };
}

test.run();
