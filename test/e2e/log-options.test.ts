/** Values of log options that Docker's drivers accept or refuse: ours do the same. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { startDaemon } from '../support/daemon.ts';
import { type Engine, startEngine, usualEngines } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { requires } from '../support/requires.ts';

requires('root');

const gelfUdp = 'gelf-address=udp://127.0.0.1:12201';
const gelfTcp = 'gelf-address=tcp://127.0.0.1:12202';
const syslogUdp = 'syslog-address=udp://127.0.0.1:5514';

const options: readonly (readonly [driver: string, verdict: 'accepted' | 'refused', ...options: string[]])[] = [
  ['json-file', 'accepted', 'max-size=10k', 'max-file=3', 'compress=true'],
  ['json-file', 'accepted', 'max-size=1.5m', 'max-file=1'],
  ['json-file', 'accepted', 'max-size=10MB'],
  ['json-file', 'accepted', 'tag={{.Name}}', 'labels=a,b', 'env=', 'labels-regex=^a', 'env-regex=(?i)b'],
  ['json-file', 'accepted', 'mode='],
  ['json-file', 'refused', 'max-size=abc'],
  ['json-file', 'refused', 'max-size=10x'],
  ['json-file', 'refused', 'max-size=-5'],
  ['json-file', 'refused', 'max-size=0'],
  ['json-file', 'refused', 'max-size=1m', 'max-file=0'],
  ['json-file', 'refused', 'max-size=1m', 'max-file=-1'],
  ['json-file', 'refused', 'max-size=1m', 'max-file=two'],
  ['json-file', 'refused', 'max-size=1m', 'max-file=3', 'compress=maybe'],
  ['json-file', 'refused', 'max-size=1m', 'max-file=1', 'compress=true'],
  ['json-file', 'refused', 'max-siz=1m'],
  ['json-file', 'refused', 'tag={{.Nope}}'],
  ['json-file', 'refused', 'tag={{'],
  ['json-file', 'refused', 'labels-regex=('],
  ['json-file', 'refused', 'labels-regex=a(?=b)'],
  ['syslog', 'accepted', syslogUdp, 'syslog-facility=', 'syslog-format='],
  ['syslog', 'accepted', syslogUdp, 'syslog-facility=authpriv', 'syslog-format=rfc5424micro', 'tag='],
  [
    'syslog',
    'accepted',
    syslogUdp,
    'syslog-facility=0',
    'cache-max-size=1m',
    'cache-max-file=2',
    'cache-compress=true',
  ],
  ['syslog', 'accepted', syslogUdp, 'cache-disabled=false', 'syslog-tls-skip-verify=false'],
  ['syslog', 'accepted', 'syslog-address=UDP://127.0.0.1:5514', 'cache-max-file=1', 'cache-compress=true'],
  ['syslog', 'refused', 'syslog-address=127.0.0.1:514'],
  ['syslog', 'refused', 'syslog-address=http://127.0.0.1'],
  ['syslog', 'refused', syslogUdp, 'syslog-facility=nosuch'],
  ['syslog', 'refused', syslogUdp, 'syslog-facility=24'],
  ['syslog', 'refused', syslogUdp, 'syslog-facility=-1'],
  ['syslog', 'refused', syslogUdp, 'syslog-format=rfc1'],
  ['syslog', 'refused', syslogUdp, 'nosuch=1'],
  ['syslog', 'refused', syslogUdp, 'tag={{nofunction}}'],
  ['syslog', 'refused', syslogUdp, 'cache-disabled=maybe'],
  ['gelf', 'accepted', gelfUdp, 'gelf-compression-type=zlib', 'gelf-compression-level=-1'],
  ['gelf', 'accepted', gelfTcp, 'gelf-tcp-max-reconnect=0', 'gelf-tcp-reconnect-delay=0'],
  ['gelf', 'refused'],
  ['gelf', 'refused', 'gelf-address=udp://127.0.0.1'],
  ['gelf', 'refused', 'gelf-address=http://127.0.0.1:80'],
  ['gelf', 'refused', 'gelf-address=127.0.0.1:80'],
  ['gelf', 'refused', gelfUdp, 'gelf-compression-type=lz4'],
  ['gelf', 'refused', gelfUdp, 'gelf-compression-level=10'],
  ['gelf', 'refused', gelfUdp, 'gelf-compression-level=-2'],
  ['gelf', 'refused', gelfUdp, 'gelf-compression-level=high'],
  ['gelf', 'refused', gelfUdp, 'gelf-tcp-max-reconnect=3'],
  ['gelf', 'refused', gelfUdp, 'gelf-tcp-reconnect-delay=3'],
  ['gelf', 'refused', gelfTcp, 'gelf-compression-type=gzip'],
  ['gelf', 'refused', gelfTcp, 'gelf-compression-level=1'],
  ['gelf', 'refused', gelfTcp, 'gelf-tcp-max-reconnect=-1'],
  ['gelf', 'refused', gelfTcp, 'gelf-tcp-reconnect-delay=x'],
  ['gelf', 'refused', gelfUdp, 'syslog-format=rfc5424'],
];

for (const version of usualEngines) {
  let host: Host;
  let engine: Engine;

  test(`engine ${version}: start`, async () => {
    host = await createHost({ name: 'logoptions' });
    await startDaemon('logd', host, { config: { engines: [] } });
    // TCP of gelf is dialled at the start.
    host.start('socat', ['-u', 'TCP-LISTEN:12202,fork,reuseaddr', 'OPEN:/dev/null']);
    engine = await startEngine({ version, host });
  });

  const verdict = async (driver: string, given: readonly string[]): Promise<string> => {
    const flags = given.flatMap((option) => ['--log-opt', option]);
    try {
      const id = await engine.docker('create', '--net', 'none', '--log-driver', driver, ...flags, 'busybox', 'true');
      await engine.docker('start', id);
      return 'accepted';
    } catch (error) {
      return /log|tag|template|regex|option|driver/i.test((error as Error).message)
        ? 'refused'
        : `failed: ${(error as Error).message}`;
    }
  };

  for (const [driver, wanted, ...given] of options) {
    test(`engine ${version}: ${driver} ${given.join(' ')}: ${wanted}`, async () => {
      assert.is(await verdict(driver, given), wanted, "Docker's own");
      assert.is(await verdict(`cleat-${driver}`, given), wanted, 'ours');
    });
  }

  test(`engine ${version}: stop`, () => host.close());
}

test.run();
