/**
 * The engine's side of the plugin protocol: what was typed when the traffic of Docker 28.5.2 was recorded (test/captures) is typed
 * at the shim, with plugins that answer as the recorded ones did. They hear the same calls, in the same order, with the same
 * content. What differs is listed in allowed-differences.ts and, with its reason, in the shim's manual page; anything else fails.
 */
import * as assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import { differences } from '../support/allowed-differences.ts';
import { startDaemon } from '../support/daemon.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { type Stage, scenarios } from '../support/engine-scenarios.ts';
import { playScenario } from '../support/play-scenario.ts';
import { createRecordingPlugins, type RecordingPlugins } from '../support/recording-plugin.ts';
import { requires } from '../support/requires.ts';
import { type Shim, startShim } from '../support/shim.ts';

requires('root', 'overlayfs', 'engine-28', 'program:conmon', 'bridge', 'nftables');

const test = suite('the calls of Docker 28.5.2');
/** For work on one of them: CLEAT_SCENARIO=ipam,errors-network */
const chosen = process.env['CLEAT_SCENARIO']?.split(',');

let engine: Engine;
let shim: Shim;

test.before(async () => {
  // Its docker command is needed; the engine itself is not asked.
  engine = await startEngine({ version: '28' });
  // For networks without an IPAM driver of their own, and for the way out where a driver gives none.
  await startDaemon('networkd', engine.host, { logLevel: 'info' });
  const pools = ['172.18.0.0/16', '172.19.0.0/16', '172.20.0.0/16'];
  shim = await startShim(engine, {
    config: config(true),
    args: pools.flatMap((pool) => ['--default-address-pool', `base=${pool},size=16`]),
  });
  const archive = join(engine.host.dir, 'busybox.tar');
  await engine.docker('tag', 'busybox:latest', 'busybox:test');
  await engine.docker('save', '-o', archive, 'busybox:test');
  assert.equal((await shim.docker('load', '-i', archive)).code, 0);
});
test.after(() => engine?.close());

function config(liveRestore: boolean): Record<string, unknown> {
  // `sleep` as process 1 does not hear SIGTERM.
  return { 'live-restore': liveRestore, bridge: 'none', 'log-driver': 'none', 'shutdown-timeout': 1 };
}

const played = scenarios.filter(({ name }) => chosen?.includes(name) ?? true);
for (const [index, scenario] of played.entries()) {
  test(scenario.name, async () => {
    const plugins = createRecordingPlugins(engine.host);
    try {
      const problems = await playScenario(scenario, makeStage(plugins), plugins);
      assert.equal(problems.length, 0, `\n${problems.join('\n\n')}`);
    } finally {
      if (!played[index + 1]?.continues) await cleanUp(plugins, scenario.plugins);
      await plugins.close();
    }
  });
}

test('each listed difference is there, and in the manual page', () => {
  const page = readFileSync(new URL('../../daemon-shim/README.md', import.meta.url), 'utf8');
  for (const { title, seen } of differences) {
    assert.ok(page.includes(`| ${title} `), `the manual page does not list: ${title}`);
    if (chosen === undefined) assert.ok(seen() > 0, `no longer a difference: ${title}`);
  }
});

function makeStage(plugins: RecordingPlugins): Stage {
  return {
    docker: (...args) => shim.dockerWith({ timeoutMs: 90_000 }, ...args),
    engine: shim.daemon,
    liveRestore: (on) => writeFileSync(join(engine.host.dir, 'shim.json'), JSON.stringify(config(on))),
    hide: (plugin) => plugins.hide(plugin),
    show: (plugin, socket = `/run/docker/plugins/${plugin}.sock`) => plugins.listen(plugin, { socket }),
    write(path, text) {
      const file = engine.host.path(path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    },
    async endProcesses(...commandLine) {
      const all = (await engine.host.sh("ps -e -o pid= -o args= | sed 's/^ *//'")).split('\n');
      const own = all.filter((line) => line.replace(/^\d+ /, '') === commandLine.join(' '));
      for (const line of own) await engine.host.run('kill', ['-9', line.split(' ')[0] ?? '']);
    },
    start: (program, ...args) => void engine.host.start(program, args),
  };
}

/** Volumes only while their plugin, one of `there`, still answers: otherwise it is waited for. */
async function cleanUp(plugins: RecordingPlugins, there: readonly string[]): Promise<void> {
  plugins.expect([]);
  if (!shim.daemon.running()) await shim.daemon.start();
  const list = async (...args: string[]) =>
    (await shim.docker(...args)).stdout.split('\n').filter((line) => line !== '');
  for (const id of await list('ps', '-aq')) await shim.docker('rm', '-f', id);
  for (const id of await list('network', 'ls', '-q', '--filter', 'type=custom')) await shim.docker('network', 'rm', id);
  if (!there.includes('volp')) return;
  for (const name of await list('volume', 'ls', '-q')) await shim.docker('volume', 'rm', '-f', name);
}

test.run();
