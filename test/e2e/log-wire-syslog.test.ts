/** What arrives at a syslog server, byte by byte, from Docker's own driver and from ours in the same engine, for every option. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { certificates } from '../support/certificates.ts';
import { startDaemon } from '../support/daemon.ts';
import { type Engine, startEngine, usualEngines } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { openWire, type Wire, type WireCase } from '../support/log-wire.ts';
import { ownDev } from '../support/own-dev.ts';
import { requires } from '../support/requires.ts';

requires('root');

const one = (name: string, place: string, ...options: string[]): WireCase => ({ name, place, options });
const udp = 'syslog-address=udp://127.0.0.1:5514';
const tcp = 'syslog-address=tcp://127.0.0.1:5515';
const tls = 'syslog-address=tcp+tls://127.0.0.1:6514';
const datagramSocket = '/run/log-datagram.sock';

/** CA, CERT and KEY stand for files. */
const cases: readonly WireCase[] = [
  one('no options at all: /dev/log', '/dev/log'),
  one('no address, rfc5424', '/dev/log', 'syslog-format=rfc5424', 'syslog-facility=local7'),
  one('udp', 'udp:5514', udp),
  one('udp to port 514', 'udp:514', 'syslog-address=udp://localhost'),
  one('udp over IPv6', 'udp:5514', 'syslog-address=udp://[::1]:5514'),
  one('rfc3164, a facility by name', 'udp:5514', udp, 'syslog-format=rfc3164', 'syslog-facility=local3'),
  one('rfc5424, a facility by number', 'udp:5514', udp, 'syslog-format=rfc5424', 'syslog-facility=4'),
  one('rfc5424micro, a tag', 'udp:5514', udp, 'syslog-format=rfc5424micro', 'tag=t.{{.Name}}/{{upper .ImageName}}'),
  one('an empty tag, facility and format', 'udp:5514', udp, 'tag=', 'syslog-facility=', 'syslog-format='),
  one('tcp', 'tcp:5515', tcp),
  one('tcp to port 514', 'tcp:514', 'syslog-address=tcp://localhost', 'syslog-facility=kern'),
  one('tcp, rfc3164', 'tcp:5515', tcp, 'syslog-format=rfc3164', 'mode=non-blocking', 'max-buffer-size=2m'),
  one(
    'tcp, rfc5424, attributes, which it does not send',
    'tcp:5515',
    tcp,
    'syslog-format=rfc5424',
    'labels=lab',
    'env=EV',
  ),
  one(
    'tcp, rfc5424micro, attributes by pattern',
    'tcp:5515',
    tcp,
    'syslog-format=rfc5424micro',
    'labels-regex=l',
    'env-regex=^E',
  ),
  one('unix datagrams', datagramSocket, `syslog-address=unixgram://${datagramSocket}`),
  one(
    'unix datagrams, rfc3164',
    datagramSocket,
    `syslog-address=unixgram://${datagramSocket}`,
    'syslog-format=rfc3164',
  ),
  one('a unix stream', 'unix:/run/log-stream.sock', 'syslog-address=unix:///run/log-stream.sock'),
  one(
    'a unix stream, rfc5424',
    'unix:/run/log-stream.sock',
    'syslog-address=unix:///run/log-stream.sock',
    'syslog-format=rfc5424',
  ),
  one('tls', 'tls:6514', tls, 'syslog-tls-skip-verify=1'),
  one('tls, rfc3164', 'tls:6514', tls, 'syslog-tls-skip-verify=', 'syslog-format=rfc3164'),
  one('tls, rfc5424: octet counting', 'tls:6514', tls, 'syslog-tls-ca-cert=CA', 'syslog-format=rfc5424'),
  one('tls, rfc5424micro: octet counting', 'tls:6514', tls, 'syslog-tls-ca-cert=CA', 'syslog-format=rfc5424micro'),
  one(
    'tls with a client certificate',
    'tls:6515',
    'syslog-address=tcp+tls://localhost:6515',
    ...['syslog-tls-ca-cert=CA', 'syslog-tls-cert=CERT', 'syslog-tls-key=KEY'],
  ),
  one(
    'a copy for docker logs with limits',
    'tcp:5515',
    tcp,
    'cache-max-size=1m',
    'cache-max-file=2',
    'cache-compress=false',
  ),
];

for (const version of usualEngines) {
  let host: Host;
  let engine: Engine;
  let wire: Wire;
  let file: (option: string) => string;

  test(`engine ${version}: start`, async () => {
    host = await createHost({ name: 'logwire' });
    await ownDev(host);
    const ca = await certificates(host);
    for (const name of ['server', 'client']) await ca.make(name);
    file = (option) =>
      option
        .replace(/=CA$/, `=${ca.path('ca.pem')}`)
        .replace(/=CERT$/, `=${ca.path('client.pem')}`)
        .replace(/=KEY$/, `=${ca.path('client.key')}`);
    await startDaemon('logd', host);
    engine = await startEngine({ version, host });
    const server = `${ca.path('server.pem')}:${ca.path('server.key')}`;
    const streams = ['tcp:5515', 'tcp:514', 'unix:/run/log-stream.sock', `tls:6514:${server}`];
    const checking = `tls:6515:${server}:${ca.path('ca.pem')}`;
    wire = await openWire(host, engine, ['udp:5514', 'udp:514', ...streams, checking], [datagramSocket, '/dev/log']);
  });

  for (const each of cases) {
    test(`engine ${version}: ${each.name}`, async () => {
      const given = { ...each, options: each.options.map(file) };
      const docker = await wire.send('syslog', given);
      const ours = await wire.send('cleat-syslog', given);
      for (const [index, message] of docker.entries()) assert.is(ours[index], message);
      assert.is(ours.length, docker.length);
    });
  }

  test(`engine ${version}: cache-disabled: docker logs is refused in the same words`, async () => {
    for (const driver of ['syslog', 'cleat-syslog']) {
      const id = await engine.docker(
        ...['run', '-d', '--net', 'none', '--log-driver', driver, '--log-opt', udp, '--log-opt', 'cache-disabled=true'],
        ...['busybox', 'echo', 'hi'],
      );
      await engine.docker('wait', id);
      const refusal = await engine.docker('logs', id).then(
        (text) => `no refusal: ${text}`,
        (error: Error) => error.message,
      );
      assert.match(refusal, /configured logging driver does not support reading/, driver);
    }
  });

  test(`engine ${version}: stop`, () => host.close());
}

test.run();
