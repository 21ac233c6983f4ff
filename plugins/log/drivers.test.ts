import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PluginError } from '../sdk/errors.ts';
import type { LogInfo } from '../sdk/log-plugin.ts';
import { logDrivers } from './drivers.ts';

const info = (config: Readonly<Record<string, string>>): LogInfo => ({
  config,
  containerId: 'a'.repeat(64),
  containerName: '/web',
  containerEntrypoint: 'sh',
  containerArgs: [],
  containerImageId: 'sha256:1',
  containerImageName: 'busybox',
  containerCreated: '2026-11-20T16:21:36.416671004Z',
  containerEnv: [],
  containerLabels: {},
  logPath: '',
  daemonName: 'docker',
});

const names = [
  ...[
    'max-size',
    'max-file',
    'max-age',
    'compress',
    'labels-regex',
    'env-regex',
    'tag',
    'mode',
    'max-buffer-size',
    'drop',
    'spool-size',
  ],
  ...[
    'syslog-address',
    'syslog-facility',
    'syslog-format',
    'syslog-hostname',
    'gelf-address',
    'gelf-compression-level',
    'multiline-start',
  ],
];
const values = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.constantFrom(
    '10m',
    '-1',
    '0',
    'true',
    'tcp://x:1',
    'udp://[::1]:5',
    '{{.ID}}',
    '{{',
    '{{range .}}',
    '(',
    '[a',
    'rfc5424',
    'local7',
    '9'.repeat(40),
  ),
);

for (const driver of logDrivers) {
  test(`${driver.name}: any options are accepted or refused in words`, () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string({ maxLength: 12 })), values, { maxKeys: 5 }),
        (config) => {
          const given = driver.name === 'cleat-gelf' ? { 'gelf-address': 'udp://x:1', ...config } : config;
          try {
            assert.type(driver.prepare(info(given)).tag, 'string');
          } catch (error) {
            assert.instance(error, PluginError);
            assert.ok((error as PluginError).message.startsWith(driver.name), (error as PluginError).message);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
}

const refusals: readonly (readonly [driver: string, config: Readonly<Record<string, string>>, message: RegExp])[] = [
  ['cleat-json-file', { 'max-file': '0' }, /max-file=0 is not allowed/],
  ['cleat-json-file', { compress: 'true', 'max-file': '1' }, /compress needs rotated files/],
  ['cleat-json-file', { compress: 'true', 'max-size': '-1', 'max-file': '3' }, /compress needs rotated files/],
  ['cleat-json-file', { 'syslog-address': 'x' }, /has no option "syslog-address"/],
  ['cleat-syslog', { 'syslog-facility': '24' }, /syslog-facility=24/],
  ['cleat-syslog', { 'syslog-format': 'rfc9999' }, /syslog-format=rfc9999/],
  ['cleat-gelf', {}, /option "gelf-address" is missing/],
  ['cleat-gelf', { 'gelf-address': 'udp://x' }, /gelf-address has the address "udp:\/\/x"/],
  ['cleat-gelf', { 'gelf-address': 'udp://x:1,tcp://x:1' }, /mix udp and stream/],
  ['cleat-gelf', { 'gelf-address': 'tcp://x:1', 'gelf-compression-type': 'gzip' }, /are for udp only/],
];

for (const [name, config, message] of refusals) {
  test(`${name} refuses ${JSON.stringify(config)}`, () => {
    const driver = logDrivers.find((candidate) => candidate.name === name);
    assert.throws(
      () => driver?.prepare(info(config)),
      (error: Error) => error instanceof PluginError && message.test(error.message),
    );
  });
}

test.run();
