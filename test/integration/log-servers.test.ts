/** Servers that are down, die, turn deaf, move, change their certificates: each line of a numbered stream arrives at least once. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { createHost, type Host } from '../support/host.ts';
import { type LogServer, rsyslog, syslogNg } from '../support/log-servers.ts';
import { type LogSession, logInfo, openLogSession } from '../support/log-session.ts';
import { requires } from '../support/requires.ts';

requires('root');

const receiver = fileURLToPath(new URL('../../lab/log-receiver.ts', import.meta.url));
const node = fileURLToPath(new URL('../../bin/node', import.meta.url));
let host: Host;
let logd: Daemon;

test.before(async () => {
  host = await createHost({ name: 'logservers' });
  logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
  await host.sh('ip link set lo up; ip addr add 127.0.0.2/8 dev lo');
});

test.after(() => host.close());

async function numbered(session: LogSession, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) await session.write(`number ${number} end`);
}

function arrived(texts: readonly string[]): Set<number> {
  return new Set(texts.flatMap((text) => [...text.matchAll(/number (\d+) end/g)].map(([, number]) => Number(number))));
}

async function allArrive(texts: () => readonly string[], count: number): Promise<void> {
  const options = { timeoutMs: 40_000, everyMs: 100 };
  await eventually(`${count} lines arrive`, () => arrived(texts()).size >= count, options).catch((error: unknown) => {
    const there = arrived(texts());
    const missing = Array.from({ length: count }, (_, number) => number).filter((number) => !there.has(number));
    throw new Error(`${missing.length} of ${count} lines are missing: ${missing.slice(0, 10)}; ${error}`);
  });
}

async function open(config: Readonly<Record<string, string>>, driver = 'cleat-syslog'): Promise<LogSession> {
  const session = openLogSession(logd, driver, logInfo(config));
  await session.start();
  return session;
}

/** Kills and restarts the server while lines are written. */
async function withDyingServer(server: LogServer, session: LogSession, count: number): Promise<void> {
  for (let part = 0; part < 4; part++) {
    await numbered(session, (part * count) / 4, ((part + 1) * count) / 4);
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
  await allArrive(() => server.messages(), 2000);
  await server.kill();
});

test('rsyslog over udp, down at the start: nothing is lost that the host is told of', async () => {
  const server = rsyslog(host, 'module(load="imudp") input(type="imudp" port="5141" rcvbufSize="4m")');
  const session = await open({ 'syslog-address': 'udp://127.0.0.1:5141', 'syslog-format': 'rfc3164' });
  await numbered(session, 0, 200);
  await server.start();
  await numbered(session, 200, 400);
  assert.ok((await session.stop()) < 2000);
  await allArrive(() => server.messages(), 400);
  await server.kill();
});

test('rsyslog over a unix datagram socket', async () => {
  const server = rsyslog(
    host,
    'module(load="imuxsock" SysSock.Use="off") input(type="imuxsock" socket="/run/rsyslog-test.sock" RateLimit.Interval="0")',
  );
  const session = await open({ 'syslog-address': 'unixgram:///run/rsyslog-test.sock' });
  await numbered(session, 0, 100);
  await server.start();
  await numbered(session, 100, 3000);
  assert.ok((await session.stop()) < 2000);
  await allArrive(() => server.messages(), 3000);
  assert.match(server.messages()[0] ?? '', /^ ?number 0 end$/);
  await server.kill();
});

test('syslog-ng: octet counting over tls, and a long line in one piece', async () => {
  await makeCertificates('ng', 2);
  const tls = `tls(key-file("${certificate('ng.key')}") cert-file("${certificate('ng.pem')}") ca-file("${certificate('ca.pem')}") peer-verify(required-trusted))`;
  const server = syslogNg(host, `syslog(transport("tls") ip("127.0.0.1") port(6514) ${tls});`);
  await server.start();
  const session = await open({
    'syslog-address': 'tcp+tls://localhost:6514',
    'syslog-format': 'rfc5424micro',
    'syslog-tls-ca-cert': certificate('ca.pem'),
    'syslog-tls-cert': certificate('client.pem'),
    'syslog-tls-key': certificate('client.key'),
    'syslog-structured-data': 'docker@32473',
  });
  const id = 'ab'.repeat(32);
  for (let ordinal = 1; ordinal <= 20; ordinal++) {
    const partialLogMetadata = { id, ordinal, last: ordinal === 20 };
    await session.writeEntry({
      source: 'stdout',
      timeNano: 1n,
      line: Buffer.alloc(16384, 'x'),
      partial: true,
      partialLogMetadata,
    });
  }
  await withDyingServer(server, session, 800);
  assert.ok((await session.stop()) < 2000);
  await allArrive(() => server.messages(), 800);
  assert.ok(server.messages().includes('x'.repeat(20 * 16384)), 'the pieces came as one line');
  await server.kill();
});

test('syslog-ng: newline framing over a unix stream, lines of several in one message', async () => {
  const server = syslogNg(host, 'unix-stream("/run/syslog-ng-test.sock");');
  await server.start();
  const session = await open({ 'syslog-address': 'unix:///run/syslog-ng-test.sock', 'multiline-indent': 'true' });
  await session.write('Error: no', '  at one', '\tat two', 'next');
  await numbered(session, 0, 300);
  assert.ok((await session.stop()) < 2000);
  await allArrive(() => server.messages(), 300);
  assert.ok(server.messages().includes('Error: no#012  at one#012\tat two'), server.messages().slice(0, 5).join('|'));
  await server.kill();
});

interface Receiver {
  texts(): string[];
  kill(): Promise<void>;
  start(...places: string[]): Promise<void>;
}

let receivers = 0;
function ownReceiver(): Receiver {
  const out = join(host.dir, `received-${++receivers}.jsonl`);
  writeFileSync(out, '');
  let process: ReturnType<Host['start']> | undefined;
  return {
    texts: () => {
      const lines = readFileSync(out, 'utf8').split('\n').slice(0, -1);
      return [
        Buffer.concat(lines.map((line) => Buffer.from((JSON.parse(line) as { hex: string }).hex, 'hex'))).toString(),
      ];
    },
    async kill() {
      await process?.kill();
    },
    async start(...places) {
      process = host.start(node, [receiver, out, ...places]);
      await eventually('the receiver listens', () => process?.output().includes('ready'));
    },
  };
}

test('a server that accepts and never reads is given up for the next one; stop is quick', async () => {
  const [deaf, good] = [ownReceiver(), ownReceiver()];
  await deaf.start('tcp:5150:deaf');
  await good.start('tcp:5151');
  const session = await open({ 'syslog-address': 'tcp://127.0.0.1:5150,tcp://127.0.0.1:5151' });
  const line = `${'y'.repeat(8000)}`;
  // More than the kernels of both sides hold back.
  for (let number = 0; number < 1500; number++) await session.write(`number ${number} end ${line}`);
  assert.ok((await session.stop()) < 2000);
  await allArrive(() => good.texts(), 1500);
  await deaf.kill();
  await good.kill();
});

test('connections that are reset in the middle of a message', async () => {
  const server = ownReceiver();
  await server.start('tcp:5156:resets');
  const session = await open({ 'syslog-address': 'tcp://127.0.0.1:5156' });
  for (let part = 0; part < 10; part++) {
    await numbered(session, part * 100, (part + 1) * 100);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok((await session.stop()) < 2000);
  await allArrive(() => server.texts(), 1000);
  await server.kill();
});

test('the address behind the name changes', async () => {
  const [old, moved] = [ownReceiver(), ownReceiver()];
  const hosts = (address: string): Promise<string> =>
    host.sh(`printf '127.0.0.1 localhost\\n${address} logs.example.org\\n' >/etc/hosts`);
  await hosts('127.0.0.1');
  await old.start('tcp:5152');
  const session = await open({ 'gelf-address': 'tcp://logs.example.org:5152' }, 'cleat-gelf');
  await numbered(session, 0, 50);
  await eventually('the old address has all', () => arrived(old.texts()).size === 50);
  await hosts('127.0.0.2');
  await old.kill();
  await numbered(session, 50, 100);
  await moved.start('tcp:5152');
  await allArrive(() => [...old.texts(), ...moved.texts()], 100);
  assert.ok((await session.stop()) < 2000);
  await moved.kill();
});

test('a certificate that has expired, then a renewed one', async () => {
  await makeCertificates('short', -1);
  const server = ownReceiver();
  await server.start(`tls:6515:${certificate('short.pem')}:${certificate('short.key')}`);
  const config = { 'gelf-address': 'tls://localhost:6515', 'gelf-tls-ca-cert': certificate('ca.pem') };
  const session = await open(config, 'cleat-gelf');
  await numbered(session, 0, 20);
  const stats = async () =>
    JSON.parse(await logd.cleat('log', 'stats', session.info.containerId, '--json')) as {
      delivery: { lastError?: string };
    }[];
  await eventually('the certificate is refused', async () =>
    /expired/.test((await stats())[0]?.delivery.lastError ?? ''),
  );
  assert.is(arrived(server.texts()).size, 0);
  await server.kill();
  await makeCertificates('short', 2);
  await server.start(`tls:6515:${certificate('short.pem')}:${certificate('short.key')}`);
  await allArrive(() => server.texts(), 20);
  assert.ok((await session.stop()) < 2000);
  await server.kill();
});

test('the daemon is killed while it sends: each line arrives at least once', async () => {
  const server = ownReceiver();
  await server.start('tcp:5153');
  const session = await open({ 'syslog-address': 'tcp://127.0.0.1:5153' });
  const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 4);
  for (let round = 0; round < rounds; round++) {
    const writing = numbered(session, round * 500, (round + 1) * 500);
    await logd.kill();
    await logd.start();
    await writing;
  }
  assert.ok((await session.stop()) < 2000);
  await allArrive(() => server.texts(), rounds * 500);
  await server.kill();
});

test('the container is gone before the server is there, and the daemon restarts in between', async () => {
  const server = ownReceiver();
  const session = await open({ 'gelf-address': 'tcp://127.0.0.1:5154' }, 'cleat-gelf');
  await numbered(session, 0, 300);
  assert.ok((await session.stop()) < 2000);
  await logd.stop();
  await logd.start();
  await server.start('tcp:5154');
  await allArrive(() => server.texts(), 300);
  await server.kill();
});

for (const drop of ['oldest', 'newest'] as const) {
  test(`a full spool, drop=${drop}: what is lost is told and counted`, async () => {
    const server = ownReceiver();
    const session = await open({ 'syslog-address': 'tcp://127.0.0.1:5155', 'spool-size': '400k', drop });
    const text = 'z'.repeat(1000);
    for (let number = 0; number < 2000; number++) await session.write(`number ${number} end ${text}`);
    assert.ok((await session.stop()) < 2000);
    await server.start('tcp:5155');
    const accounted = (): number => {
      const all = server.texts().join('');
      const told = [...all.matchAll(/cleat: (\d+) lines? \(\d+ bytes\) dropped here/g)].reduce(
        (sum, [, lines]) => sum + Number(lines),
        0,
      );
      return arrived([all]).size + told;
    };
    if (drop === 'newest') {
      await eventually('the spool is sent', () => arrived(server.texts()).size > 100);
      await eventually('all is sent', async () => {
        const log = JSON.parse(await logd.cleat('log', 'stats', session.info.containerId, '--json')) as {
          delivery?: { spooledBytes: number };
        }[];
        return (log[0]?.delivery?.spooledBytes ?? 0) === 0;
      });
      // Nothing is written any more: the record comes by itself.
      await host.run('curl', [
        '-s',
        '--fail',
        '-X',
        'POST',
        '--unix-socket',
        '/run/cleat/logd.sock',
        'http://cleat/retention',
      ]);
      await eventually('all lines are there or told', () => accounted() >= 2000);
      assert.is(arrived(server.texts()).has(0), true);
    } else {
      await eventually('all lines are there or told', () => accounted() >= 2000);
      assert.is(arrived(server.texts()).has(1999), true);
    }
    assert.ok(arrived(server.texts()).size < 2000);
    await server.kill();
  });
}

test('a full spool, mode=blocking: the container waits, and nothing is lost', async () => {
  const server = ownReceiver();
  const session = await open({ 'syslog-address': 'tcp://127.0.0.1:5157', 'spool-size': '200k', mode: 'blocking' });
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
  await server.start('tcp:5157');
  await writing;
  assert.ok((await session.stop()) < 2000);
  await allArrive(() => server.texts(), 1000);
  await server.kill();
});

function certificate(name: string): string {
  return join(host.dir, 'certificates', name);
}

/** A CA once, a client certificate, and a server certificate valid for so many days from yesterday. */
async function makeCertificates(name: string, days: number): Promise<void> {
  const end = new Date(Date.now() + days * 86_400_000).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14);
  await host.sh(`
    mkdir -p ${host.dir}/certificates && cd ${host.dir}/certificates
    key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
    test -e ca.pem || openssl req -x509 $key -days 9 -subj /CN=ca -keyout ca.key -out ca.pem 2>/dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >ext
    touch index; test -e serial || echo 01 >serial
    printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=.\\npolicy=p\\ndefault_md=sha256\\nunique_subject=no\\n[p]\\ncommonName=supplied\\n' >ca.cnf
    for who in client ${name}; do
      openssl req $key -subj /CN=$who -keyout $who.key -out $who.csr 2>/dev/null
      openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -extfile ext -in $who.csr -out $who.pem -notext \\
        -startdate 20200101000000Z -enddate $(test $who = client && echo 20400101000000Z || echo ${end}Z) 2>/dev/null
    done`);
}

test.run();
