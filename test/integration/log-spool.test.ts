/** What waits for a server is bounded: by the spool, by the disk. What is lost then is told in the stream and counted, whoever is killed. */
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { createHost, type Host } from '../support/host.ts';
import { logReceiver } from '../support/log-receiver.ts';
import { type LogSession, logInfo, openLogSession } from '../support/log-session.ts';
import { allArrive, droppedIn, numbersIn, writeNumbered } from '../support/numbered-lines.ts';
import { requires } from '../support/requires.ts';

requires('root');

let host: Host;
let logd: Daemon;

test.before(async () => {
  host = await createHost({ name: 'logspool' });
  logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
});

test.after(() => host.close());

async function open(daemon: Daemon, config: Readonly<Record<string, string>>): Promise<LogSession> {
  const session = openLogSession(daemon, 'cleat-syslog', logInfo(config));
  await session.start();
  return session;
}

async function stats(daemon: Daemon, session: LogSession): Promise<{ dropped: number; spooled: number }> {
  const [log] = JSON.parse(await daemon.cleat('log', 'stats', session.info.containerId, '--json')) as {
    dropped?: number;
    delivery?: { spooledBytes: number };
  }[];
  return { dropped: log?.dropped ?? 0, spooled: log?.delivery?.spooledBytes ?? 0 };
}

/** Each line has arrived, or a drop record accounts for it. */
function accounted(text: string): number {
  return new Set(numbersIn(text)).size + droppedIn(text);
}

/** Runs what is done every half minute. */
async function settle(daemon: Daemon): Promise<void> {
  const call = ['-s', '--fail', '-X', 'POST', '--unix-socket', '/run/cleat/logd.sock', 'http://cleat/retention'];
  await daemon.host.run('curl', call);
}

let port = 5300;

for (const drop of ['oldest', 'newest'] as const) {
  for (const killed of [false, true]) {
    test(`a full spool, drop=${drop}${killed ? ', the daemon killed meanwhile' : ''}: what is lost is told and counted`, async () => {
      const here = ++port;
      const server = logReceiver(host);
      const session = await open(logd, { 'syslog-address': `tcp://127.0.0.1:${here}`, 'spool-size': '400k', drop });
      const text = 'z'.repeat(1000);
      const parts = 5;
      for (let part = 0; part < parts; part++) {
        const writing = writeNumbered(session, part * 400, (part + 1) * 400, text);
        if (killed) {
          await pause(Math.random() * 30);
          await logd.kill();
          await logd.start();
        }
        await writing;
      }
      await eventually('lines are dropped', async () => (await stats(logd, session)).dropped > 0);
      const { dropped } = await stats(logd, session);
      if (killed) {
        await logd.kill();
        await logd.start();
        assert.ok((await stats(logd, session)).dropped >= dropped, 'the counter outlives the daemon');
      }
      const metrics = await logd.host.sh('curl -s --fail --unix-socket /run/cleat/logd.sock http://cleat/metrics');
      const id = session.info.containerId.slice(0, 12);
      const metric = (name: string): number =>
        Number(new RegExp(`^cleat_log_${name}\\{container="${id}",[^}]*\\} (\\S+)$`, 'm').exec(metrics)?.[1]);
      assert.ok(metric('dropped_lines_total') >= dropped);
      assert.ok(metric('spooled_bytes') > 100_000);
      assert.is(metric('sent_lines_total'), 0);
      assert.ok(metric('lag_seconds') > 0, 'the first line still waits');
      for (const name of ['lines_total', 'bytes_total', 'reconnects_total']) {
        // These begin anew with the daemon.
        assert.ok(killed ? metric(name) >= 0 : metric(name) > 0, name);
      }
      assert.ok((await session.stop()) < 2000);
      await server.start(`tcp:${here}`);
      await eventually('what was kept is sent', async () => (await stats(logd, session)).spooled === 0, {
        timeoutMs: 60_000,
      });
      // Nothing is written any more: the record of the newest comes by itself.
      await settle(logd);
      await eventually('all lines are there or told', () => accounted(server.text()) >= parts * 400);
      const there = new Set(numbersIn(server.text()));
      assert.ok(there.size < parts * 400);
      assert.is(there.has(drop === 'newest' ? 0 : parts * 400 - 1), true);
      await server.kill();
    });
  }
}

test('a full spool, mode=blocking: the container waits, and nothing is lost', async () => {
  const here = ++port;
  const server = logReceiver(host);
  const session = await open(logd, {
    'syslog-address': `tcp://127.0.0.1:${here}`,
    'spool-size': '200k',
    mode: 'blocking',
  });
  let written = 0;
  const text = 'b'.repeat(4000);
  const writing = (async () => {
    for (; written < 1000; written++) await session.write(`number ${written} end ${text}`);
  })();
  // The spool, the pipe of 1 MiB, and then nothing more.
  let before = -1;
  await eventually(
    'the writer waits',
    () => {
      const waits = written === before && written > 0;
      before = written;
      return waits;
    },
    { everyMs: 500 },
  );
  assert.ok(written < 1000, `${written} lines were taken`);
  await server.start(`tcp:${here}`);
  await writing;
  assert.ok((await session.stop()) < 2000);
  await allArrive(server.text, 1000);
  await server.kill();
});

test('the disk is full while the server is down, and the daemon is killed: each line arrives or is told', async () => {
  const small = await createHost({ name: 'logspoolfull' });
  try {
    await small.sh(`mkdir -p ${small.dir}/state && mount -t tmpfs -o size=3m tmpfs ${small.dir}/state`);
    const daemon = await startDaemon('logd', small, {
      config: { engines: [], 'max-total-size': '1g' },
      logLevel: 'info',
    });
    const server = logReceiver(small);
    const session = await open(daemon, { 'syslog-address': 'tcp://127.0.0.1:5399' });
    for (let part = 0; part < 3; part++) {
      await writeNumbered(session, part * 2000, (part + 1) * 2000, 'y'.repeat(1000));
      if (part > 0) {
        await eventually('lines are dropped', async () => (await stats(daemon, session)).dropped > 0);
      }
      await daemon.kill();
      await daemon.start();
    }
    assert.ok((await session.stop()) < 2000);
    await small.sh(`mount -o remount,size=60m ${small.dir}/state`);
    await server.start('tcp:5399');
    await eventually('what was kept is sent', async () => (await stats(daemon, session)).spooled === 0, {
      timeoutMs: 60_000,
    });
    await settle(daemon);
    await eventually('all lines are there or told', () => accounted(server.text()) >= 6000);
    assert.ok(new Set(numbersIn(server.text())).size < 6000);
  } finally {
    await small.close();
  }
});

test.run();
