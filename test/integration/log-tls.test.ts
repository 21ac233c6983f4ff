/** Certificates that expire, are renewed and exchanged while lines are sent. */
import { copyFileSync, renameSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Certificates, certificates } from '../support/certificates.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { createHost, type Host } from '../support/host.ts';
import { logReceiver } from '../support/log-receiver.ts';
import { type LogSession, logInfo, openLogSession } from '../support/log-session.ts';
import { allArrive, numbersIn, writeNumbered } from '../support/numbered-lines.ts';
import { requires } from '../support/requires.ts';

requires('root');

let host: Host;
let logd: Daemon;
let ca: Certificates;

test.before(async () => {
  host = await createHost({ name: 'logtls' });
  logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
  ca = await certificates(host);
  await ca.make('server');
});

test.after(() => host.close());

async function open(driver: string, config: Readonly<Record<string, string>>): Promise<LogSession> {
  const session = openLogSession(logd, driver, logInfo(config));
  await session.start();
  return session;
}

async function lastError(session: LogSession): Promise<string> {
  const [log] = JSON.parse(await logd.cleat('log', 'stats', session.info.containerId, '--json')) as {
    delivery: { lastError?: string };
  }[];
  return log?.delivery.lastError ?? '';
}

/** A file takes the place of another in one step, as tools that renew certificates do it. */
function replace(file: string, by: string): void {
  copyFileSync(by, `${file}.new`);
  renameSync(`${file}.new`, file);
}

for (const [driver, config] of [
  [
    'cleat-gelf',
    (port: number) => ({ 'gelf-address': `tls://localhost:${port}`, 'gelf-tls-ca-cert': ca.path('ca.pem') }),
  ],
  [
    'cleat-syslog',
    (port: number) => ({ 'syslog-address': `tcp+tls://localhost:${port}`, 'syslog-tls-ca-cert': ca.path('ca.pem') }),
  ],
] as const) {
  const port = driver === 'cleat-gelf' ? 6515 : 6516;

  test(`${driver}: a certificate that has expired, then a renewed one`, async () => {
    const server = logReceiver(host);
    await ca.make('short', -1);
    const place = `tls:${port}:${ca.path('short.pem')}:${ca.path('short.key')}`;
    await server.start(place);
    const session = await open(driver, config(port));
    await writeNumbered(session, 0, 20);
    await eventually('the certificate is refused', async () => /expired/.test(await lastError(session)));
    assert.is(numbersIn(server.text()).length, 0);
    await server.kill();
    await ca.make('short');
    await server.start(place);
    await allArrive(server.text, 20);
    assert.ok((await session.stop()) < 2000);
    await server.kill();
  });
}

test('a client certificate that is replaced while the connection stands', async () => {
  const server = logReceiver(host);
  for (const name of ['client', 'renewed']) await ca.make(name);
  await server.start(`tls:6517:${ca.path('server.pem')}:${ca.path('server.key')}:${ca.path('ca.pem')}`);
  const session = await open('cleat-syslog', {
    'syslog-address': 'tcp+tls://localhost:6517',
    'syslog-tls-ca-cert': ca.path('ca.pem'),
    'syslog-tls-cert': ca.path('client.pem'),
    'syslog-tls-key': ca.path('client.key'),
  });
  await writeNumbered(session, 0, 20);
  await allArrive(server.text, 20);
  assert.equal(new Set(server.arrivals().map(({ peer }) => peer)), new Set(['client']));
  replace(ca.path('client.key'), ca.path('renewed.key'));
  replace(ca.path('client.pem'), ca.path('renewed.pem'));
  let number = 20;
  await eventually(
    'lines come with the new certificate',
    async () => {
      await writeNumbered(session, number, ++number);
      return server.arrivals().at(-1)?.peer === 'renewed';
    },
    { everyMs: 300, timeoutMs: 40_000 },
  );
  await allArrive(server.text, number);
  assert.ok((await session.stop()) < 2000);
  await server.kill();
});

test('the authority is exchanged: the old server is not trusted any more, the new one is', async () => {
  const server = logReceiver(host);
  const other = await certificates(host);
  await other.make('server');
  const trusted = ca.path('trusted.pem');
  replace(trusted, ca.path('ca.pem'));
  await server.start(`tls:6518:${ca.path('server.pem')}:${ca.path('server.key')}`);
  const session = await open('cleat-gelf', { 'gelf-address': 'tls://localhost:6518', 'gelf-tls-ca-cert': trusted });
  await writeNumbered(session, 0, 20);
  await allArrive(server.text, 20);
  replace(trusted, other.path('ca.pem'));
  await eventually(
    'the old server is refused',
    async () => {
      await writeNumbered(session, 20, 21);
      return /certificate|signature/.test(await lastError(session));
    },
    { everyMs: 300, timeoutMs: 40_000 },
  );
  await server.kill();
  await server.start(`tls:6518:${other.path('server.pem')}:${other.path('server.key')}`);
  await writeNumbered(session, 21, 40);
  await allArrive(server.text, 40);
  assert.ok((await session.stop()) < 2000);
  await server.kill();
});

test.run();
