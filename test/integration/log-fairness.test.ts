/** One daemon, many containers: a loud one does not starve the others, and two hundred at once all get their lines. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeLogFrame } from '../../plugins/sdk/index.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { createHost, type Host } from '../support/host.ts';
import { logReceiver } from '../support/log-receiver.ts';
import { type LogSession, logInfo, openLogSession } from '../support/log-session.ts';
import { numbersIn } from '../support/numbered-lines.ts';
import { requires } from '../support/requires.ts';

requires('root');

let host: Host;
let logd: Daemon;

test.before(async () => {
  host = await createHost({ name: 'logfairness' });
  logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
});

test.after(() => host.close());

async function open(driver: string, config: Readonly<Record<string, string>>): Promise<LogSession> {
  const session = openLogSession(logd, driver, logInfo(config));
  await session.start();
  return session;
}

interface Status {
  readonly id: string;
  readonly lines?: number;
}

async function linesOf(): Promise<Map<string, number>> {
  const call = ['-s', '--fail', '--unix-socket', '/run/cleat/logd.sock', 'http://cleat/logs'];
  const logs = JSON.parse((await host.run('curl', call)).stdout) as Status[];
  return new Map(logs.map(({ id, lines }) => [id, lines ?? 0]));
}

for (const driver of ['cleat-json-file', 'cleat-syslog'] as const) {
  test(`${driver}: containers that write without end do not keep the others waiting`, async () => {
    const server = logReceiver(host);
    await server.start('tcp:5400');
    const sink = host.start('socat', ['-u', 'TCP-LISTEN:5401,fork,reuseaddr', 'OPEN:/dev/null']);
    const to = (port: number): Readonly<Record<string, string>> =>
      driver === 'cleat-syslog' ? { 'syslog-address': `tcp://127.0.0.1:${port}`, 'spool-size': '50m' } : {};
    const frame = encodeLogFrame({ source: 'stdout', timeNano: 1n, line: Buffer.alloc(100, 'l'), partial: false });
    const loud = await Promise.all([1, 2].map(() => open(driver, { ...to(5401), 'max-size': '5m', 'max-file': '2' })));
    // More than one turn takes is in these pipes at any time: cat writes as fast as it is read.
    writeFileSync(join(host.dir, 'frames'), Buffer.concat(Array.from({ length: 1000 }, () => frame)));
    const writers = loud.map(({ file }) =>
      host.start('sh', ['-c', `while :; do cat ${host.dir}/frames; done >"$0"`, file]),
    );
    await eventually('the loud ones are on their way', async () => {
      const lines = await linesOf();
      return loud.every(({ info }) => (lines.get(info.containerId) ?? 0) > 20_000);
    });
    const quiet = await Promise.all(Array.from({ length: 20 }, () => open(driver, to(5400))));
    for (let number = 0; number < 10; number++) {
      for (const session of quiet) await session.write(`number ${number} end`);
      // Every line is taken before the next round is written: nobody waits for the loud ones to end, as they never do.
      await eventually(`line ${number} of each is on disk`, async () => {
        const lines = await linesOf();
        return quiet.every(({ info }) => lines.get(info.containerId) === number + 1);
      });
    }
    assert.ok(
      writers.every((writer) => writer.running()),
      'they still write',
    );
    if (driver === 'cleat-syslog') {
      await eventually('the lines of the quiet ones arrive', () => numbersIn(server.text()).length >= 200);
    }
    for (const session of quiet) {
      const took = await session.stop();
      assert.ok(took < 2000, `StopLogging of a quiet one took ${took} ms`);
    }
    for (const writer of writers) await writer.kill();
    for (const session of loud) await session.stop();
    await sink.kill();
    await server.kill();
  });
}

test('200 containers at once, of all drivers: every line of each, in its order', async () => {
  const server = logReceiver(host);
  await server.start('tcp:5402', 'tcp:5403');
  const kinds = [
    ['cleat-json-file', {}],
    ['cleat-syslog', { 'syslog-address': 'tcp://127.0.0.1:5402' }],
    ['cleat-gelf', { 'gelf-address': 'tcp://127.0.0.1:5403' }],
  ] as const;
  const sessions: LogSession[] = [];
  for (let index = 0; index < 200; index++) {
    const [driver, config] = kinds[index % kinds.length] ?? kinds[0];
    sessions.push(await open(driver, config));
  }
  const lines = 50;
  const write = async (session: LogSession, index: number): Promise<void> => {
    for (let number = 0; number < lines; number++) await session.write(`number ${index * 1000 + number} end`);
  };
  await Promise.all(sessions.map(write));
  for (const session of sessions) assert.ok((await session.stop()) < 2000);
  const wanted = (index: number): string[] =>
    Array.from({ length: lines }, (_, number) => `number ${index * 1000 + number} end`);
  for (const [index, session] of sessions.entries()) assert.equal(await session.lines(), wanted(index));
  const remote = sessions.flatMap((_, index) => (index % kinds.length === 0 ? [] : [index]));
  await eventually('all arrive', () => {
    const arrived = new Set(numbersIn(server.text()));
    return remote.every((index) => wanted(index).every((_, number) => arrived.has(index * 1000 + number)));
  });
  await server.kill();
});

test.run();
