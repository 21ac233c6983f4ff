/** rsyslog and syslog-ng over every transport, down at the start and killed in the stream. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { certificates } from '../support/certificates.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { createHost, type Host } from '../support/host.ts';
import { type LogServer, rsyslog, syslogNg } from '../support/log-servers.ts';
import { type LogSession, logInfo, openLogSession } from '../support/log-session.ts';
import { allArrive, writeNumbered } from '../support/numbered-lines.ts';
import { ownDev } from '../support/own-dev.ts';
import { requires } from '../support/requires.ts';

requires('root');

let host: Host;
let logd: Daemon;

test.before(async () => {
  host = await createHost({ name: 'logservers' });
  await ownDev(host);
  logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
});

test.after(() => host.close());

function arrives(server: LogServer, count: number): Promise<void> {
  return allArrive(() => server.messages().join('\n'), count);
}

async function open(config: Readonly<Record<string, string>>, driver = 'cleat-syslog'): Promise<LogSession> {
  const session = openLogSession(logd, driver, logInfo(config));
  await session.start();
  return session;
}

/** One line in so many pieces of 16 KiB, as an engine cuts it. */
async function writeLong(session: LogSession, pieces: number): Promise<void> {
  const id = 'ab'.repeat(32);
  for (let ordinal = 1; ordinal <= pieces; ordinal++) {
    await session.writeEntry({
      source: 'stdout',
      timeNano: 1n,
      line: Buffer.alloc(16384, 'x'),
      partial: true,
      partialLogMetadata: { id, ordinal, last: ordinal === pieces },
    });
  }
}

/** Kills and restarts the server while lines are written. */
async function withDyingServer(server: LogServer, session: LogSession, count: number): Promise<void> {
  for (let part = 0; part < 4; part++) {
    await writeNumbered(session, (part * count) / 4, ((part + 1) * count) / 4);
    await server.kill();
    await server.start();
  }
}

test('rsyslog over tcp, down at the start and killed in the stream', async () => {
  const server = rsyslog(host, 'module(load="imtcp") input(type="imtcp" port="5140")');
  const session = await open({ 'syslog-address': 'tcp://127.0.0.1:5140', 'syslog-format': 'rfc5424' });
  await session.write('number 0 end');
  await server.start();
  await withDyingServer(server, session, 2000);
  assert.ok((await session.stop()) < 2000);
  await arrives(server, 2000);
  await server.kill();
});

test('rsyslog over udp, down at the start: nothing is lost that the host is told of', async () => {
  const server = rsyslog(host, 'module(load="imudp") input(type="imudp" port="5141" rcvbufSize="4m")');
  const session = await open({ 'syslog-address': 'udp://127.0.0.1:5141', 'syslog-format': 'rfc3164' });
  await writeNumbered(session, 0, 200);
  await server.start();
  await writeNumbered(session, 200, 400);
  assert.ok((await session.stop()) < 2000);
  await arrives(server, 400);
  await server.kill();
});

test('rsyslog over a unix datagram socket', async () => {
  const server = rsyslog(
    host,
    'module(load="imuxsock" SysSock.Use="off") input(type="imuxsock" socket="/run/rsyslog-test.sock" RateLimit.Interval="0")',
  );
  const session = await open({ 'syslog-address': 'unixgram:///run/rsyslog-test.sock' });
  await writeNumbered(session, 0, 100);
  await server.start();
  await writeNumbered(session, 100, 3000);
  assert.ok((await session.stop()) < 2000);
  await arrives(server, 3000);
  assert.ok(server.messages().some((message) => /^ ?number 0 end $/.test(message)));
  await server.kill();
});

test('syslog-ng: octet counting over tls, and a long line in one piece', async () => {
  const ca = await certificates(host);
  for (const name of ['server', 'client']) await ca.make(name);
  const tls = `tls(key-file("${ca.path('server.key')}") cert-file("${ca.path('server.pem')}") ca-file("${ca.path('ca.pem')}") peer-verify(required-trusted))`;
  const server = syslogNg(host, `syslog(transport("tls") ip("127.0.0.1") port(6514) ${tls});`);
  await server.start();
  const session = await open({
    'syslog-address': 'tcp+tls://localhost:6514',
    'syslog-format': 'rfc5424micro',
    'syslog-tls-ca-cert': ca.path('ca.pem'),
    'syslog-tls-cert': ca.path('client.pem'),
    'syslog-tls-key': ca.path('client.key'),
    'syslog-structured-data': 'docker@32473',
  });
  await writeLong(session, 20);
  await withDyingServer(server, session, 800);
  assert.ok((await session.stop()) < 2000);
  await arrives(server, 800);
  assert.ok(server.messages().includes('x'.repeat(20 * 16384)), 'the pieces came as one line');
  await server.kill();
});

test('syslog-ng: newline framing over a unix stream, lines of several in one message', async () => {
  const server = syslogNg(host, 'unix-stream("/run/syslog-ng-test.sock");');
  await server.start();
  const session = await open({ 'syslog-address': 'unix:///run/syslog-ng-test.sock', 'multiline-indent': 'true' });
  await session.write('Error: no', '  at one', '\tat two', 'next');
  await writeNumbered(session, 0, 300);
  assert.ok((await session.stop()) < 2000);
  await arrives(server, 300);
  assert.ok(server.messages().includes('Error: no#012  at one#012\tat two'), server.messages().slice(0, 5).join('|'));
  await server.kill();
});

test("without an address: the host's own syslog socket, /dev/log, down at the start", async () => {
  const server = rsyslog(
    host,
    'module(load="imuxsock" SysSock.Use="off") input(type="imuxsock" socket="/dev/log" RateLimit.Interval="0")',
  );
  const session = await open({ tag: 'here' });
  await writeNumbered(session, 0, 100);
  await server.start();
  await withDyingServer(server, session, 1000);
  assert.ok((await session.stop()) < 2000);
  await arrives(server, 1000);
  await server.kill();
});

test('without an address and a stream socket there', async () => {
  const server = syslogNg(host, 'unix-stream("/dev/log");');
  const session = await open({});
  await writeNumbered(session, 0, 100);
  await host.sh('rm -f /dev/log');
  await server.start();
  await withDyingServer(server, session, 400);
  assert.ok((await session.stop()) < 2000);
  await arrives(server, 400);
  await server.kill();
});

test('syslog-ng over tcp, RFC 3164', async () => {
  const server = syslogNg(host, 'network(transport("tcp") ip("127.0.0.1") port(5145));');
  const session = await open({ 'syslog-address': 'tcp://127.0.0.1:5145', 'syslog-format': 'rfc3164' });
  await session.write('number 0 end');
  await server.start();
  await withDyingServer(server, session, 1000);
  assert.ok((await session.stop()) < 2000);
  await arrives(server, 1000);
  await server.kill();
});

test('syslog-ng over udp, down at the start', async () => {
  const server = syslogNg(host, 'network(transport("udp") ip("127.0.0.1") port(5146) so-rcvbuf(4194304));');
  const session = await open({ 'syslog-address': 'udp://127.0.0.1:5146', 'syslog-format': 'rfc3164' });
  await writeNumbered(session, 0, 100);
  await server.start();
  await writeNumbered(session, 100, 400);
  assert.ok((await session.stop()) < 2000);
  await arrives(server, 400);
  await server.kill();
});

for (const [name, server, port] of [
  ['rsyslog', () => rsyslog(host, 'module(load="imtcp" MaxFrameSize="2000000") input(type="imtcp" port="5147")'), 5147],
  ['syslog-ng', () => syslogNg(host, 'syslog(transport("tcp") ip("127.0.0.1") port(5148));'), 5148],
] as const) {
  test(`${name}: a line of almost a megabyte is one message, empty lines are none, and what follows arrives`, async () => {
    const receiver = server();
    await receiver.start();
    const session = await open({
      'syslog-address': `tcp://127.0.0.1:${port}`,
      'syslog-format': 'rfc5424',
      'syslog-framing': 'octet-counting',
    });
    await session.write('', '');
    await writeLong(session, 61);
    await session.write('', Buffer.from([0x61, 0xff, 0xfe, 0x62]));
    await writeNumbered(session, 0, 10);
    assert.ok((await session.stop()) < 2000);
    await arrives(receiver, 10);
    const messages = receiver.messages();
    assert.is(messages.filter((message) => message.trim() === 'x'.repeat(61 * 16384)).length, 1);
    assert.is(messages.length, 12, 'the long one, the binary one, ten numbers');
    await receiver.kill();
  });
}

test.run();
