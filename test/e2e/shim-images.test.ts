/**
 * Verbs of images and of the system on the shim and on real engines side by side, by the docker command of each version: the same output and the
 * same exit code. Then archives go round: saved by one, loaded by the other.
 */
import * as assert from 'node:assert/strict';
import { join } from 'node:path';
import { suite } from 'uvu';
import { type Engine, type EngineVersion, startEngine, usualEngines } from '../support/engine.ts';
import { callApi } from '../support/engine-api.ts';
import { requires } from '../support/requires.ts';
import { type CliResult, runOnEngine, type Shim, startShim } from '../support/shim.ts';

requires('root', 'overlayfs', 'engine-20.10', 'engine-28', 'program:conmon');

/** Nothing of networks and logs, which have tests of their own. */
const bare = ['--network', 'none', '--log-driver', 'none'];

/** Numbers that differ by nature: ids, times, versions of what wrote the image. */
function normalize({ code, stdout, stderr }: CliResult): CliResult {
  const clean = (text: string) =>
    text
      .replaceAll(/\b[0-9a-f]{64}\b/g, 'ID')
      .replaceAll(/\b[0-9a-f]{12}\b/g, 'SHORT')
      .replaceAll(/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/g, 'TIME')
      .replaceAll(/(About )?(a|an|[0-9]+|Less than a) (second|minute)s?( ago)?/g, 'AGO')
      // Reworded since 20.10.
      .replaceAll(/no such image: \S+: No such image/g, 'No such image')
      .replaceAll('Invalid filter', 'invalid filter')
      .replaceAll('run is not a valid', 'RUN is not a valid')
      .replaceAll(/ {2,}/g, ' ')
      .trim();
  return { code, stdout: clean(stdout), stderr: clean(stderr) };
}

/** In this order, on engines that know busybox:latest and nothing else. */
const scenario: readonly (readonly string[])[] = [
  ['images'],
  ['images', '--no-trunc', '--digests'],
  ['images', '-q', 'busy*'],
  ['images', '--filter', 'dangling=true'],
  ['images', '--filter', 'label=none'],
  ['images', '--filter', 'nonsense=1'],
  ['tag', 'busybox', 'example.org/other/name:1'],
  ['tag', 'busybox', 'WRONG'],
  ['tag', 'nosuch', 'a:1'],
  [
    'image',
    'inspect',
    '--format',
    '{{json .RepoTags}} {{json .Config.Cmd}} {{.Os}} {{.Size}} {{json .RootFS}}',
    'busybox',
  ],
  ['inspect', '--type', 'image', 'nosuch'],
  ['image', 'inspect', 'nosuch'],
  ['history', 'busybox'],
  ['history', 'nosuch'],
  ['create', '--name', 'changed', ...bare, 'busybox', 'true'],
  ['diff', 'changed'],
  ['rm', 'changed'],
  [
    ...['run', '--name', 'changed', ...bare, 'busybox', 'sh', '-c'],
    'echo 1 > /new; rm /etc/passwd; mkdir -p /d/e; ln -s /x /d/l; rm -rf /www; mkdir /www; echo > /www/q; chmod 700 /root; touch /tmp',
  ],
  ['diff', 'changed'],
  ['ps', '-a', '--size', '--format', '{{.Names}} {{.Size}}'],
  [
    'commit',
    '-a',
    'me',
    '-m',
    'words',
    '-c',
    'CMD ["cat","/new"]',
    '-c',
    'ENV A=b',
    '-c',
    'LABEL l=m',
    'changed',
    'made:1',
  ],
  ['commit', '-c', 'RUN true', 'changed', 'made:2'],
  ['commit', 'nosuch', 'made:2'],
  ['images', '--format', '{{.Repository}}:{{.Tag}} {{.Size}}'],
  ['images', '--filter', 'label=l=m', '--format', '{{.Repository}}'],
  ['images', '--filter', 'since=busybox', '--format', '{{.Repository}}'],
  ['images', '--filter', 'before=made:1', '--format', '{{.Repository}}:{{.Tag}}'],
  ['history', '--format', '{{.CreatedBy}}|{{.Size}}|{{.Comment}}', 'made:1'],
  [
    'image',
    'inspect',
    '--format',
    '{{.Author}} {{.Comment}} {{json .Config.Env}} {{json .Config.Labels}} {{json .Config.Cmd}}',
    'made:1',
  ],
  ['run', '--rm', ...bare, 'made:1'],
  ['run', '--rm', ...bare, 'made:1', 'sh', '-c', 'echo $A; ls /www /d; ls /etc/passwd; stat -c %a /root'],
  ['rmi', 'busybox'],
  ['rmi', 'example.org/other/name:1', 'nosuch'],
  ['rmi', 'made:1'],
  ['tag', 'example.org/other/name:1', 'busybox'],
  ['run', '-d', '--name', 'sleeper', ...bare, 'busybox', 'sleep', '1000'],
  ['rmi', '-f', 'busybox'],
  ['system', 'df', '--format', '{{.Type}} {{.TotalCount}} {{.Active}}'],
  ['container', 'prune', '-f'],
  ['rm', '-f', 'sleeper'],
  ['image', 'prune', '-f'],
  ['image', 'prune', '-af'],
  ['images', '-aq'],
  ['save', 'nosuch', '-o', '/tmp/out.tar'],
  ['events', '--since', '0', '--until', '1'],
  ['plugin', 'ls'],
];

/** Docker lists these as its hash tables give them. */
const unordered = ['diff', 'images'];

function sortLines(result: CliResult): CliResult {
  return { ...result, stdout: result.stdout.split('\n').sort().join('\n') };
}

for (const version of usualEngines) {
  const test = suite(`images, docker ${version}`);
  let engine: Engine;
  let shim: Shim;
  const other: EngineVersion = version === '28' ? '20.10' : '28';

  test.before(async () => {
    engine = await startEngine({ version });
    shim = await startShim(engine);
    await engine.docker('save', '-o', archive(), 'busybox');
  });

  test.after(async () => {
    await engine.close();
  });

  const archive = () => join(engine.host.dir, 'busybox.tar');

  test('what the engine saves is loaded, with the same id', async () => {
    const loaded = await shim.docker('load', '-i', archive());
    assert.equal(loaded.stdout.trim(), 'Loaded image: busybox:latest');
    const id = await engine.docker('images', '-q', '--no-trunc', 'busybox');
    assert.equal((await shim.docker('images', '-q', '--no-trunc', 'busybox')).stdout.trim(), id);
  });

  test('each verb says what the engine says', async () => {
    const differing: string[] = [];
    for (const args of scenario) {
      const results = [await runOnEngine(engine, ...args), await shim.docker(...args)].map(normalize);
      const [expected, found] = unordered.includes(args[0] ?? '') ? results.map(sortLines) : results;
      try {
        assert.deepEqual(found, expected);
      } catch (error) {
        differing.push(`docker ${args.join(' ')}\n${(error as Error).message}`);
      }
    }
    assert.equal(differing.length, 0, differing.join('\n\n'));
  });

  test('what the shim saves is loaded by both engines', async () => {
    await shim.docker('load', '-i', archive());
    await shim.docker('run', '--name', 'changed', ...bare, 'busybox', 'sh', '-c', 'echo kept > /new; rm /etc/group');
    await shim.docker('commit', '-c', 'CMD ["sh","-c","cat /new; ls /etc"]', 'changed', 'round:1');
    const saved = join(engine.host.dir, 'round.tar');
    assert.equal((await shim.docker('save', '-o', saved, 'round:1', 'busybox')).code, 0);
    const id = (await shim.docker('images', '-q', '--no-trunc', 'round')).stdout.trim();
    const second = await startEngine({ version: other, images: [] });
    try {
      for (const target of [engine, second]) {
        // Hosts have folders of their own: the archive goes through the API.
        const { body } = await callApi(target.socket, 'POST', '/images/load?quiet=1', { file: saved });
        assert.match(JSON.stringify(body), /Loaded image: round:1/);
        assert.equal(await target.docker('images', '-q', '--no-trunc', 'round'), id);
        const output = await target.docker('run', '--rm', ...bare, 'round:1');
        assert.match(output, /^kept/);
        assert.doesNotMatch(output, /group/);
      }
    } finally {
      await second.close();
    }
  });

  test('import and export go round', async () => {
    const exported = join(engine.host.dir, 'root.tar');
    assert.equal((await shim.docker('export', '-o', exported, 'changed')).code, 0);
    const [there, here] = [
      await runOnEngine(engine, 'import', '-c', 'CMD ["cat","/new"]', '-m', 'words', exported, 'imported:1'),
      await shim.docker('import', '-c', 'CMD ["cat","/new"]', '-m', 'words', exported, 'imported:1'),
    ].map(normalize);
    assert.deepEqual(here, there);
    const [expected, found] = [
      await runOnEngine(engine, 'history', '--format', '{{.Size}} {{.Comment}}', 'imported:1'),
      await shim.docker('history', '--format', '{{.Size}} {{.Comment}}', 'imported:1'),
    ].map(normalize);
    assert.deepEqual(found, expected);
    assert.equal((await shim.docker('run', '--rm', ...bare, 'imported:1')).stdout, 'kept\n');
  });

  test('what is not supported says what to do instead', async () => {
    const missing = await shim.docker('run', '--rm', 'nosuch:1');
    assert.equal(missing.code, 125);
    assert.match(missing.stderr, /nosuch:1 is not on this host, .*docker save nosuch:1.*docker load/);
    for (const args of [
      ['pull', 'x'],
      ['push', 'busybox'],
      ['search', 'x'],
      ['swarm', 'init'],
      ['service', 'ls'],
    ]) {
      const { code, stderr } = await shim.docker(...args);
      assert.notEqual(code, 0, args.join(' '));
      assert.match(stderr, /this engine (pulls|pushes|searches|has no swarm)/, args.join(' '));
    }
  });

  test.run();
}
