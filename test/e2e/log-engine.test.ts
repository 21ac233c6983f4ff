/** The log drivers under real engines: files and reading against Docker's own json-file, rotation, following, restarts of everything. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, startEngine, usualEngines } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { type LogReceiver, logReceiver } from '../support/log-receiver.ts';
import { requires } from '../support/requires.ts';

requires('root');

const many = Number(process.env['CLEAT_CONTAINERS'] ?? 12);

for (const version of usualEngines) {
  const title = (text: string): string => `engine ${version}: ${text}`;
  let host: Host;
  let logd: Daemon;
  let engine: Engine;

  test(title('start'), async () => {
    host = await createHost({ name: 'logengine' });
    logd = await startDaemon('logd', host, { config: { 'engine-poll': '3s' }, logLevel: 'info' });
    engine = await startEngine({ version, host, liveRestore: true });
  });

  const run = (driver: string, options: readonly string[], script: string): Promise<string> =>
    engine.docker(
      'run',
      '-d',
      '--net',
      'none',
      '--log-driver',
      driver,
      ...options.flatMap((option) => ['--log-opt', option]),
      '-e',
      'EV=ev<1>',
      '--label',
      'lab=é',
      'busybox',
      'sh',
      '-c',
      script,
    );
  const folder = (id: string): string => join(logd.stateDir, 'log', id);
  const dockerFolder = (id: string): string => join(host.dir, 'data', 'containers', id);
  /** Files by the name behind the container id, their times left out. */
  const files = (path: string, id: string): Record<string, string> =>
    Object.fromEntries(
      readdirSync(path)
        .filter((name) => name.startsWith(`${id}-json.log`))
        .sort()
        .map((name) => {
          const data = readFileSync(join(path, name));
          const text = (name.endsWith('.gz') ? gunzipSync(data) : data).toString('latin1');
          return [
            name.slice(id.length),
            text
              .replaceAll(/"time":"[^"]*"/g, '"time":""')
              .replaceAll(id, 'ID')
              .replaceAll(id.slice(0, 12), 'ID12'),
          ];
        }),
    );

  /** What is enforced each 30 s takes its time. */
  const slowly = { timeoutMs: 100_000 };
  const lines = `i=0; while [ $i -lt 300 ]; do echo "line $i <&> \\"quoted\\" é"; i=$((i+1)); done; printf '\\377\\001\\t\\r\\n'; head -c 40000 /dev/zero | tr '\\0' x; echo; echo; printf last`;
  const optionSets: readonly (readonly string[])[] = [
    [],
    ['max-size=3k', 'max-file=4'],
    ['max-size=0.004m', 'max-file=3', 'compress=true'],
    ['max-size=2k'],
    ['labels=lab', 'env=EV,NONE', 'tag={{.ImageName}}/{{.ID}}', 'max-size=100k'],
    ['labels-regex=^l', 'labels=x', 'env-regex=E.$', 'max-size=100k', 'mode=non-blocking', 'max-buffer-size=4m'],
  ];
  /**
   * A container for each driver. Times end without their zeros, so a line is now and then a byte longer, and a file ends a
   * line earlier: pairs are made until both have split alike, which is most of them.
   */
  const sameSplit = async (options: readonly string[]): Promise<{ docker: string; ours: string }> => {
    const split = (path: string, id: string) => Object.values(files(path, id)).map((text) => text.split('\n').length);
    for (let pair = 1; ; pair += 1) {
      const docker = await run('json-file', options, lines);
      const ours = await run('cleat-json-file', options, lines);
      await engine.docker('wait', docker, ours);
      const alike = String(split(dockerFolder(docker), docker)) === String(split(folder(ours), ours));
      if (alike || pair === 5 || options.includes('compress=true')) return { docker, ours };
      await engine.docker('rm', docker, ours);
    }
  };
  for (const options of optionSets) {
    test(title(`json-file ${options.join(' ')}: the same files as Docker's`), async () => {
      const { docker, ours } = await sameSplit(options);
      const compressed = options.includes('compress=true');
      // Both compress in the background.
      await eventually('rotated files are compressed', () =>
        [files(dockerFolder(docker), docker), files(folder(ours), ours)].every((found) =>
          Object.keys(found).every((name) => !compressed || name === '-json.log' || name.endsWith('.gz')),
        ),
      );
      const wanted = files(dockerFolder(docker), docker);
      // Engine 20.10 keeps one rotated file where max-file is 1; later ones do not.
      if (version === '20.10' && options.join() === 'max-size=2k') delete wanted['-json.log.1'];
      assert.equal(files(folder(ours), ours), wanted);
      if (options.join() === 'max-size=2k') return engine.docker('rm', docker, ours).then(() => {});
      const [theirLogs, ourLogs] = [
        await engine.dockerWith({}, 'logs', docker),
        await engine.dockerWith({}, 'logs', ours),
      ];
      assert.is(ourLogs.stdout, theirLogs.stdout);
      assert.is(ourLogs.stderr, theirLogs.stderr);
      for (const tail of ['0', '1', '7', '250', '100000']) {
        const [theirs, own] = [
          await engine.docker('logs', '--tail', tail, docker),
          await engine.docker('logs', '--tail', tail, ours),
        ];
        assert.is(own, theirs, `--tail ${tail}`);
      }
      await engine.docker('rm', docker, ours);
    });
  }

  test(title('--since, --until and --timestamps'), async () => {
    const id = await run('cleat-json-file', [], 'for i in 1 2 3 4; do echo $i; sleep 0.2; done');
    await engine.docker('wait', id);
    const stamped = (await engine.docker('logs', '-t', id)).split('\n').map((line) => line.split(' '));
    const [, second = [''], third = ['']] = stamped;
    assert.equal(
      stamped.map(([, text]) => text),
      ['1', '2', '3', '4'],
    );
    assert.is(await engine.docker('logs', '--since', second[0] ?? '', id), '2\n3\n4');
    assert.is(await engine.docker('logs', '--until', second[0] ?? '', id), '1\n2');
    assert.is(await engine.docker('logs', '--since', second[0] ?? '', '--until', third[0] ?? '', id), '2\n3');
    await engine.docker('rm', id);
  });

  test(title('following goes over rotation and ends with the container, for every driver'), async () => {
    const script =
      'i=0; while [ $i -lt 400 ]; do echo "number $i"; i=$((i+1)); [ $((i % 40)) -eq 0 ] && sleep 0.1; done';
    // All of it fits: a reader that the machine holds up for a moment must still find every file.
    const drivers = [
      ['cleat-json-file', 'max-size=2k', 'max-file=20'],
      ['cleat-syslog', 'syslog-address=udp://192.0.2.1:514', 'max-size=2k', 'max-file=20'],
      ['cleat-gelf', 'gelf-address=tcp://192.0.2.1:12201'],
    ] as const;
    await Promise.all(
      drivers.map(async ([driver, ...options]) => {
        const id = await run(driver, options, script);
        const followed = (await engine.docker('logs', '-f', id)).split('\n');
        const from = Number(followed[0]?.split(' ')[1]);
        assert.equal(
          followed,
          Array.from({ length: 400 - from }, (_, index) => `number ${from + index}`),
          driver,
        );
        await engine.docker('rm', id);
      }),
    );
  });

  test(title('start and stop do not wait for a server that is down'), async () => {
    const blackHole = ['syslog-address=tcp://192.0.2.1:514'];
    const begin = performance.now();
    const id = await run('cleat-syslog', blackHole, 'trap exit TERM; while :; do echo x; sleep 0.1; done');
    const started = performance.now();
    const plain = await run('none', [], 'trap exit TERM; while :; do echo x; sleep 0.1; done');
    const plainStarted = performance.now();
    await engine.docker('stop', id);
    const stopped = performance.now();
    await engine.docker('stop', plain);
    const plainStopped = performance.now();
    assert.ok(started - begin - (plainStarted - started) < 2000, 'start');
    assert.ok(stopped - plainStarted - (plainStopped - stopped) < 2000, 'stop');
    await engine.docker('rm', '-f', id, plain);
  });

  test(title(`${many} containers at once, each line of each in its own log`), async () => {
    const ids = await Promise.all(
      Array.from({ length: many }, (_, index) =>
        // Under load engines lose what a container says in its last moment, with their own json-file too: it stays a little.
        run('cleat-json-file', [], `i=0; while [ $i -lt 500 ]; do echo "c${index} $i"; i=$((i+1)); done; sleep 1`),
      ),
    );
    const codes = (await engine.docker('wait', ...ids)).split('\n');
    assert.equal(
      codes,
      ids.map(() => '0'),
    );
    for (const [index, id] of ids.entries()) {
      const expected = Array.from({ length: 500 }, (_, number) => `c${index} ${number}`);
      const told = engine
        .log()
        .match(/.*logger.*/gi)
        ?.join('\n');
      assert.equal((await engine.docker('logs', id)).split('\n'), expected, told);
    }
    await engine.docker('rm', ...ids);
  });

  const counter =
    'i=0; while [ $i -lt 4000 ]; do echo "n $i"; i=$((i+1)); [ $((i % 50)) -eq 0 ] && sleep 0.05; done; sleep 600';
  const numbersOf = async (id: string): Promise<number[]> =>
    (await engine.docker('logs', id))
      .split('\n')
      .flatMap((line) => (/^n \d+$/.test(line) ? [Number(line.slice(2))] : []));
  const complete = async (id: string): Promise<void> => {
    await eventually('the last line is there', async () => (await numbersOf(id)).at(-1) === 3999, {
      timeoutMs: 60_000,
      everyMs: 300,
    });
    const there = new Set(await numbersOf(id));
    assert.equal(
      Array.from({ length: 4000 }, (_, number) => number).filter((number) => !there.has(number)),
      [],
    );
  };

  /** One port for each remote driver. */
  const remotes = [
    ['cleat-syslog', 'syslog-address', 5100],
    ['cleat-gelf', 'gelf-address', 5101],
  ] as const;
  const runRemote = (script: string, ...options: readonly string[]): Promise<string[]> =>
    Promise.all(
      remotes.map(([driver, option, port]) => run(driver, [`${option}=tcp://127.0.0.1:${port}`, ...options], script)),
    );
  /** Connection by connection: what has not been confirmed yet of an earlier container comes over another one. */
  const arrived = (server: LogReceiver, port: number): string =>
    server
      .arrivals()
      .filter(({ at }) => at === `tcp:${port}`)
      .sort((one, other) => (one.connection ?? 0) - (other.connection ?? 0))
      .map(({ data }) => data.toString('latin1'))
      .join('');

  test(title('the engine is killed and comes back with live-restore; so do the daemon and the servers'), async () => {
    const server = logReceiver(host);
    const places = remotes.map(([, , port]) => `tcp:${port}`);
    await server.start(...places);
    const ids = [await run('cleat-json-file', ['max-size=20k', 'max-file=50'], counter), ...(await runRemote(counter))];
    for (const id of ids) await eventually('it logs', async () => (await numbersOf(id)).length > 100);
    await engine.kill();
    await engine.start();
    await logd.kill();
    await server.kill();
    await logd.start();
    await logd.stop();
    await server.start(...places);
    await logd.start();
    for (const id of ids) await complete(id);
    for (const [driver, , port] of remotes) {
      await eventually(
        `${driver} has sent every line`,
        () => new Set([...arrived(server, port).matchAll(/\bn (\d+)\b/g)].map(([, number]) => number)).size === 4000,
        { timeoutMs: 60_000, everyMs: 300 },
      );
    }
    await engine.docker('rm', '-f', ...ids);
    await server.kill();
  });

  test(title('a line of a megabyte is one message at the servers'), async () => {
    const server = logReceiver(host);
    await server.start(...remotes.map(([, , port]) => `tcp:${port}`));
    const ids = await runRemote('head -c 1000000 /dev/zero | tr "\\0" x; echo; echo behind');
    await engine.docker('wait', ...ids);
    for (const [driver, , port] of remotes) {
      await eventually(`${driver} has sent it`, () => arrived(server, port).includes('behind'), { timeoutMs: 60_000 });
      assert.equal(
        arrived(server, port)
          .match(/x{1000,}/g)
          ?.map(({ length }) => length),
        [1_000_000],
        driver,
      );
    }
    for (const id of ids) assert.is((await engine.docker('logs', id)).length, 1_000_000 + '\nbehind'.length);
    await engine.docker('rm', ...ids);
    await server.kill();
  });

  test(title('the log of a removed container goes, that of a stopped one stays'), async () => {
    const logs = async () => JSON.parse(await logd.cleat('log', 'ls', '--json')) as { id: string; name: string }[];
    // Gone sooner than the daemon asks by itself.
    const brief = ['brief-1', 'brief-2', 'brief-3'];
    for (const name of brief) {
      const flags = ['--rm', '--net', 'none', '--log-driver', 'cleat-json-file', '--name', name];
      await engine.docker('run', ...flags, 'busybox', 'sh', '-c', 'echo x; sleep 0.3');
    }
    const [gone, kept] = [await run('cleat-json-file', [], 'echo a'), await run('cleat-syslog', [], 'echo b')];
    await engine.docker('wait', gone, kept);
    await eventually('the engine was asked', async () => (await logs()).some(({ id }) => id === kept), slowly);
    await engine.stop();
    await engine.start();
    await eventually(
      'it is known to the engine',
      async () => {
        await engine.docker('rm', '-f', gone).catch(() => '');
        return !existsSync(folder(gone));
      },
      slowly,
    );
    await eventually('so do brief ones', async () => !(await logs()).some(({ name }) => brief.includes(name)), slowly);
    assert.is(await engine.docker('logs', kept), 'b');
    assert.ok(existsSync(folder(kept)));
    await engine.docker('rm', kept);
  });

  test(
    title('a wrong option names itself, and nothing is kept of the environment that was not asked for'),
    async () => {
      const wrong = await run('cleat-json-file', ['max-siz=1m'], 'true').catch((error: Error) => error.message);
      assert.match(wrong, /cleat-json-file has no option "max-siz"; did you mean "max-size"\?/);
      const id = await engine.docker(
        'run',
        '-d',
        '--net',
        'none',
        '-e',
        'SECRET=hunter2',
        '-e',
        'EV=ok',
        '--log-driver',
        'cleat-gelf',
        '--log-opt',
        'gelf-address=tcp://192.0.2.1:1',
        '--log-opt',
        'env=EV',
        'busybox',
        'echo',
        'x',
      );
      await engine.docker('wait', id);
      await host.sh(`! grep -r hunter2 ${logd.stateDir}`);
      assert.not.match(logd.log(), /hunter2/);
      await engine.docker('rm', id);
    },
  );

  test(title('stop'), () => host.close());
}

test.run();
