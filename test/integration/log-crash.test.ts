/** The daemon killed at random points under load: every line of a numbered stream is in the log, in order, afterwards. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { encodeLogFrame } from '../../plugins/sdk/index.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { deadline, eventually } from '../support/deadline.ts';
import { createHost, type Host } from '../support/host.ts';
import { type LogSession, logInfo, openLogSession } from '../support/log-session.ts';
import { requires } from '../support/requires.ts';

requires('root');

const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 6);
let host: Host;
let logd: Daemon;

test.before(async () => {
  host = await createHost({ name: 'logcrash' });
  logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
});

test.after(() => host.close());

/** Writes numbered lines in bursts until told to stop; returns how many. */
async function flood(session: LogSession, stopped: () => boolean): Promise<number> {
  let number = 0;
  while (!stopped()) {
    const burst: Buffer[] = [];
    const size = 1 + Math.floor(Math.random() * 400);
    for (let index = 0; index < size; index++) {
      const line = Buffer.from(`line ${number++} ${'x'.repeat(Math.floor(Math.random() * 200))}`);
      burst.push(
        encodeLogFrame({ source: number % 7 ? 'stdout' : 'stderr', timeNano: BigInt(number), line, partial: false }),
      );
    }
    await session.writeRaw(Buffer.concat(burst));
    if (Math.random() < 0.5) await new Promise((resolve) => setTimeout(resolve, Math.random() * 6));
  }
  return number;
}

for (const driver of ['cleat-json-file', 'cleat-syslog'] as const) {
  test(`${driver}: ${rounds} rounds of SIGKILL lose nothing and double nothing`, async () => {
    // The server of cleat-syslog does not exist: the local log is complete all the same.
    const config = {
      'max-size': '2m',
      'max-file': '1000',
      ...(driver === 'cleat-syslog' && { 'syslog-address': 'tcp://127.0.0.1:9' }),
    };
    const session = openLogSession(logd, driver, logInfo(config));
    await session.start();
    let stopped = false;
    const flooding = flood(session, () => stopped);
    for (let round = 0; round < rounds; round++) {
      await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 120));
      await logd.kill();
      await logd.start();
    }
    stopped = true;
    const count = await flooding;
    const took = await session.stop();
    assert.ok(took < 2000, `StopLogging took ${took} ms`);
    const numbers = (await session.lines()).map((line) => Number(line.split(' ')[1]));
    assert.is(
      numbers.findIndex((number, index) => number !== index),
      -1,
      'every line once and in order',
    );
    assert.is(numbers.length, count);
  });
}

test('what was in the pipe when daemon and engine died is found again', async () => {
  const session = openLogSession(logd, 'cleat-json-file', logInfo({}));
  await session.start();
  await session.write('first');
  await logd.kill();
  await session.write('second', 'third');
  await logd.start();
  const took = await session.stop();
  assert.ok(took < 2000);
  assert.equal(await session.lines(), ['first', 'second', 'third']);
});

test('a FIFO that lost its engine ends the session at the restart', async () => {
  const session = openLogSession(logd, 'cleat-json-file', logInfo({}));
  await session.start();
  await session.write('before');
  await eventually('the line is read from the pipe', async () => (await session.lines()).includes('before'));
  await logd.kill();
  await session.write('in the pipe');
  session.vanish();
  await logd.start();
  // The kernel drops a pipe's content with its last end: what remains is what was on disk.
  const following = session.read({ follow: true });
  assert.equal(
    (await following).map(({ line }) => Buffer.from(line).toString()),
    ['before\n'],
  );
});

test('a StopLogging that was lost while the daemon was away: who follows the log of the next start does not wait for it', async () => {
  const info = logInfo({});
  const lost = openLogSession(logd, 'cleat-json-file', info);
  await lost.start();
  await lost.write('first');
  await logd.stop();
  await logd.start();
  // The engine gave up telling and keeps its end open.
  const next = openLogSession(logd, 'cleat-json-file', info);
  await next.start();
  const following = next.lines({ follow: true });
  await next.write('second');
  await next.stop();
  assert.equal(await deadline('the follower ends', 20_000, following), ['first', 'second']);
  lost.vanish();
});

test('a container whose options an earlier version took: the daemon starts, and the others are listed and read', async () => {
  const [old, other] = [logInfo({ 'max-size': '1m' }), logInfo({})].map((info) =>
    openLogSession(logd, 'cleat-json-file', info),
  ) as [LogSession, LogSession];
  for (const session of [old, other]) {
    await session.start();
    await session.write('kept');
    await session.stop();
  }
  await logd.stop();
  const records = new DatabaseSync(join(logd.stateDir, 'logd.db'));
  records
    .prepare("UPDATE records SET record = replace(record, 'max-size', 'max-size-of-old') WHERE key = ?")
    .run(old.info.containerId);
  records.close();
  await logd.start();
  const listed = JSON.parse(await logd.cleat('log', 'ls', '--json')) as { id: string }[];
  for (const { info } of [old, other]) assert.ok(listed.some(({ id }) => id === info.containerId));
  assert.is(await logd.cleat('log', 'tail', other.info.containerId), 'kept');
  const refused = await logd.cleat('log', 'tail', old.info.containerId).catch((error: Error) => error.message);
  assert.match(refused, /has no option "max-size-of-old"/);
});

test('a reader that the end of the daemon cuts off is told that it is not complete', async () => {
  const session = openLogSession(logd, 'cleat-json-file', logInfo({}));
  await session.start();
  await session.write('first');
  const reading = { info: session.info, config: { follow: true } };
  const chunks = session.client.log.readLogs(reading)[Symbol.asyncIterator]();
  await chunks.next();
  const broken = chunks.next().then(
    () => 'complete',
    (error: Error) => String(error),
  );
  await logd.stop();
  assert.match(await broken, /aborted|ECONNRESET|hang up/);
  await logd.start();
  await session.stop();
});

test.run();
