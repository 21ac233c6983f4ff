/** GELF over UDP: a server that moves; and what is sent, read by a decoder that is not ours: tshark's, which puts chunks together, unpacks and shows the JSON. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { createHost } from '../support/host.ts';
import { logReceiver } from '../support/log-receiver.ts';
import { logInfo, openLogSession } from '../support/log-session.ts';
import { allArrive, numbersIn, writeNumbered } from '../support/numbered-lines.ts';
import { requires } from '../support/requires.ts';

requires('root');

test('gzip, zlib, plain and chunked messages are GELF to tshark', async () => {
  const host = await createHost({ name: 'loggelf' });
  try {
    await host.sh('ip link set lo up');
    const logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
    const capture = join(host.dir, 'gelf.pcap');
    const tcpdump = host.start('tcpdump', ['-i', 'lo', '-s', '0', '-U', '-w', capture, 'udp', 'port', '12201']);
    await eventually('tcpdump listens', () => tcpdump.output().includes('listening'));
    // Somebody has to be there, or the host says that nobody is.
    const sink = host.start('socat', ['-u', 'UDP-RECV:12201,rcvbuf=4194304', 'OPEN:/dev/null']);
    await eventually('socat listens', async () => (await host.sh('ss -Hlnu')).includes(':12201'));
    // What does not compress needs chunks.
    const long = Array.from({ length: 60_000 }, () => Math.floor(Math.random() * 36).toString(36)).join('');
    for (const type of ['gzip', 'zlib', 'none']) {
      const session = openLogSession(
        logd,
        'cleat-gelf',
        logInfo({ 'gelf-address': 'udp://127.0.0.1:12201', 'gelf-compression-type': type, tag: type }),
      );
      await session.start();
      const id = 'ef'.repeat(32);
      for (const [index, start] of [0, 16384, 32768, 49152].entries()) {
        const partialLogMetadata = { id, ordinal: index + 1, last: index === 3 };
        const line = Buffer.from(long.slice(start, start + 16384));
        await session.writeEntry({
          source: 'stdout',
          timeNano: 1_795_198_543_241_000_000n,
          line,
          partial: true,
          partialLogMetadata,
        });
      }
      await session.write(`short ${type}`);
      await session.stop();
    }
    const sent = async (): Promise<number> => (await eventually('captured', () => readFileSync(capture))).length;
    let last = -1;
    await eventually(
      'all is captured',
      async () => {
        const size = await sent();
        const steady = size > 130_000 && size === last;
        last = size;
        return steady;
      },
      { everyMs: 500 },
    );
    await tcpdump.stop();
    await sink.kill();
    const text = execFileSync(
      'tshark',
      [
        '-r',
        capture,
        '-d',
        'udp.port==12201,gelf',
        '-Y',
        'gelf && json',
        '-T',
        'fields',
        '-e',
        'json.value.string',
        '-e',
        'gelf.fragment.count',
      ],
      {
        encoding: 'utf8',
        maxBuffer: 64 << 20,
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    const messages = text.trimEnd().split('\n');
    for (const type of ['gzip', 'zlib', 'none']) {
      assert.ok(
        messages.some((message) => message.includes(`short ${type}`)),
        `the short message of ${type}`,
      );
    }
    assert.is(
      messages.filter((message) => message.includes(long)).length,
      3,
      'the long line, put together, three times',
    );
    const bad = execFileSync(
      'tshark',
      [
        '-r',
        capture,
        '-d',
        'udp.port==12201,gelf',
        '-Y',
        'gelf.broken_compression || gelf.invalid_header || gelf.fragment.error',
      ],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    assert.is(bad, '');
  } finally {
    await host.close();
  }
});

test('udp: the name is looked up again, though nothing tells that the server has moved', async () => {
  const host = await createHost({ name: 'loggelfmoved' });
  try {
    const logd = await startDaemon('logd', host, { config: { engines: [] }, logLevel: 'info' });
    const here = 12_301;
    const server = logReceiver(host);
    await host.sh("printf '127.0.0.1 localhost logs.example.org\\n' >/etc/hosts");
    await server.start(`udp:${here}`);
    const session = openLogSession(
      logd,
      'cleat-gelf',
      logInfo({ 'gelf-address': `udp://logs.example.org:${here}`, 'gelf-compression-type': 'none' }),
    );
    await session.start();
    await writeNumbered(session, 0, 20);
    await allArrive(server.text, 20);
    await host.sh("printf '127.0.0.1 localhost\\n127.0.0.2 logs.example.org\\n' >/etc/hosts");
    const before = numbersIn(server.text()).length;
    let number = 20;
    await eventually(
      'datagrams go to the new address',
      async () => {
        await writeNumbered(session, number, ++number);
        return (await host.sh('ss -Hnu state established')).includes(`127.0.0.2:${here}`);
      },
      { timeoutMs: 60_000, everyMs: 500 },
    );
    await allArrive(server.text, number);
    assert.ok(numbersIn(server.text()).length > before);
    await session.stop();
  } finally {
    await host.close();
  }
});

test.run();
