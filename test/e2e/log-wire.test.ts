/** What arrives at a server, byte by byte, from Docker's own syslog and gelf drivers and from ours, in the same engine. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, inflateSync } from 'node:zlib';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, engineVersions, startEngine } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root');

const receiver = fileURLToPath(new URL('../../lab/log-receiver.ts', import.meta.url));
const node = fileURLToPath(new URL('../../bin/node', import.meta.url));

/** Lines apart in time, so that stdout and stderr come in one order. */
const script = [
  'echo out1; sleep 0.05; echo err1 >&2; sleep 0.05',
  `printf 'a<b>&"c\\\\d\\ttab\\001\\n'; printf '\\377\\376 bad \\342\\200\\250\\n'; echo; echo '  sp  '`,
  'sleep 0.05; printf end',
].join('; ');

interface Receiver {
  readonly at: (place: string) => Buffer[];
  readonly all: () => number;
}

async function startReceiver(host: Host, places: readonly string[]): Promise<Receiver> {
  const out = join(host.dir, 'received.jsonl');
  // Node has no unix datagram sockets: socat appends what comes to a file.
  const datagrams = join(host.dir, 'datagrams');
  host.start('socat', ['-u', 'UNIX-RECV:/run/log-datagram.sock', `OPEN:${datagrams},creat,append`]);
  const process = host.start(node, [receiver, out, ...places]);
  await eventually('the receiver listens', () => process.output().includes('ready'));
  const lines = (): { at: string; hex: string }[] => {
    try {
      return readFileSync(out, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { at: string; hex: string });
    } catch {
      return [];
    }
  };
  return {
    at: (place) =>
      place === 'unixgram'
        ? [existsSync(datagrams) ? readFileSync(datagrams) : Buffer.alloc(0)]
        : lines()
            .filter(({ at }) => at === place)
            .map(({ hex }) => Buffer.from(hex, 'hex')),
    all: () => lines().length,
  };
}

/** What differs from run to run: times, process number, container id and name. */
function normalised(data: Buffer, id: string): string {
  return data
    .toString('latin1')
    .replaceAll(id, 'ID')
    .replaceAll(id.slice(0, 12), 'ID12')
    .replaceAll(/\[\d+\]: /g, '[PID]: ')
    .replaceAll(/ (\S+) \d+ (\S+) - /g, ' $1 PID $2 - ')
    .replaceAll(/[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d/g, 'STAMP')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z (?=logwire)/g, (_, micros?: string) =>
      micros ? 'MICROS ' : 'SECONDS ',
    )
    .replaceAll(/"_created":"[^"]*"/g, '"_created":"TIME"')
    .replaceAll(/"timestamp":\d+(\.\d+)?,/g, '"timestamp":TIME,');
}

/** One by one, so that a difference is shown alone; sorted, since an engine may read stderr before stdout on a busy machine. */
function messages(text: string): string[] {
  return text.split(/(?<=\n)|(?<=\}\0?)(?=\{"version)/).sort();
}

function unpacked(data: Buffer): Buffer {
  if (data[0] === 0x1f && data[1] === 0x8b) return gunzipSync(data);
  if (data[0] === 0x78) return inflateSync(data);
  return data;
}

interface Case {
  readonly name: string;
  readonly place: string;
  readonly driver: 'syslog' | 'gelf';
  readonly options: readonly string[];
}

const syslog = (name: string, place: string, ...options: string[]): Case => ({
  name,
  place,
  driver: 'syslog',
  options,
});
const gelf = (name: string, place: string, ...options: string[]): Case => ({ name, place, driver: 'gelf', options });
const udp = 'syslog-address=udp://127.0.0.1:5514';
const tcp = 'syslog-address=tcp://127.0.0.1:5515';

const cases: readonly Case[] = [
  syslog('syslog as it is', 'udp:5514', udp),
  syslog('rfc3164 and a facility by name', 'udp:5514', udp, 'syslog-format=rfc3164', 'syslog-facility=local3'),
  syslog('rfc5424 and a facility by number', 'udp:5514', udp, 'syslog-format=rfc5424', 'syslog-facility=4'),
  syslog(
    'rfc5424micro and a tag',
    'udp:5514',
    udp,
    'syslog-format=rfc5424micro',
    'tag=t.{{.Name}}/{{upper .ImageName}}',
  ),
  syslog('tcp', 'tcp:5515', tcp, 'syslog-format=rfc5424', 'labels=lab', 'env=EV'),
  syslog('unix datagrams', 'unixgram', 'syslog-address=unixgram:///run/log-datagram.sock'),
  syslog('a unix stream', 'unix:/run/log-stream.sock', 'syslog-address=unix:///run/log-stream.sock'),
  syslog(
    'tls, rfc5424: octet counting',
    'tls:6514',
    'syslog-address=tcp+tls://127.0.0.1:6514',
    'syslog-format=rfc5424',
    'syslog-tls-skip-verify=1',
  ),
  syslog(
    'tls with a client certificate',
    'tls:6515',
    'syslog-address=tcp+tls://localhost:6515',
    'syslog-tls-ca-cert=/etc/logtls/ca.pem',
    'syslog-tls-cert=/etc/logtls/client.pem',
    'syslog-tls-key=/etc/logtls/client.key',
  ),
  gelf(
    'gelf, not compressed, with attributes',
    'udp:12201',
    'gelf-address=udp://127.0.0.1:12201',
    'gelf-compression-type=none',
    'labels=lab,_under',
    'env-regex=^E',
  ),
  gelf('gelf as it is (gzip)', 'udp:12201', 'gelf-address=udp://127.0.0.1:12201'),
  gelf(
    'gelf zlib',
    'udp:12201',
    'gelf-address=udp://127.0.0.1:12201',
    'gelf-compression-type=zlib',
    'gelf-compression-level=9',
    'labels-regex=^la',
    'labels=none',
    'tag=x',
  ),
  gelf('gelf tcp', 'tcp:12202', 'gelf-address=tcp://127.0.0.1:12202', 'env=EX'),
];

async function makeCertificates(host: Host): Promise<void> {
  // The engine of the newer root has an /etc of its own; /run is shared.
  await host.sh(`
    mkdir -p /run/logtls && cd /run/logtls
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem 2>/dev/null
    for who in server client; do
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=$who -keyout $who.key -out $who.csr 2>/dev/null
      printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' >ext
      openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $who.pem 2>/dev/null
    done`);
}

for (const version of engineVersions) {
  let host: Host;
  let engine: Engine;
  let received: Receiver;

  test(`engine ${version}: start`, async () => {
    host = await createHost({ name: 'logwire' });
    await makeCertificates(host);
    received = await startReceiver(host, [
      'udp:5514',
      'tcp:5515',
      'udp:12201',
      'tcp:12202',
      'unix:/run/log-stream.sock',
      'tls:6514:/run/logtls/server.pem:/run/logtls/server.key',
      'tls:6515:/run/logtls/server.pem:/run/logtls/server.key:/run/logtls/ca.pem',
    ]);
    await startDaemon('logd', host);
    engine = await startEngine({ version, host });
  });

  const run = async (driver: string, { place, options }: Case): Promise<string> => {
    const before = Buffer.concat(received.at(place).map(unpacked)).length;
    const id = await engine.docker(
      'run',
      '-d',
      '--net',
      'none',
      '-e',
      'EV=é<1>',
      '-e',
      'EX=2',
      '--label',
      'lab=v',
      '--label',
      '_under=w',
      '--log-driver',
      driver,
      ...options.flatMap((option) => ['--log-opt', option.replaceAll('/etc/logtls', '/run/logtls')]),
      'busybox',
      'sh',
      '-c',
      script,
    );
    const name = (await engine.docker('inspect', '-f', '{{.Name}}', id)).slice(1);
    const text = (): string =>
      normalised(Buffer.concat(received.at(place).map(unpacked)).subarray(before), id).replaceAll(name, 'NAME');
    await eventually(`${driver} has sent its last line`, () =>
      (driver.endsWith('gelf') ? /"short_message":"end".*\}/ : /end\n/).test(text()),
    );
    await engine.docker('rm', '-f', id);
    return text();
  };

  for (const one of cases) {
    test(`engine ${version}: ${one.name}`, async () => {
      const docker = await run(one.driver, one);
      const ours = await run(`cleat-${one.driver}`, one);
      // Engine 20.10 escapes U+FFFD in GELF, 28.5 does not; ours does as 28.5.
      const wanted =
        one.driver === 'gelf' ? docker.replaceAll('\\ufffd', Buffer.from('\uFFFD').toString('latin1')) : docker;
      const [theirMessages, ourMessages] = [messages(wanted), messages(ours)];
      for (const [index, message] of theirMessages.entries()) assert.is(ourMessages[index], message);
      assert.is(ourMessages.length, theirMessages.length);
    });
  }

  test(`engine ${version}: stop`, () => host.close());
}

test.run();
