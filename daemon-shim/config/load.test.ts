import * as assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { loadConfig } from './load.ts';
import { ConfigError } from './option.ts';
import { reloadConfig } from './reload.ts';

const test = suite('configuration');
let folder: string;

test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'cleat-config-'));
});
test.after(() => rmSync(folder, { recursive: true }));

function load(file: unknown, ...flags: readonly string[]) {
  const path = join(folder, 'daemon.json');
  writeFileSync(path, typeof file === 'string' ? file : JSON.stringify(file));
  return loadConfig(['--config-file', path, ...flags]);
}

function refusal(file: unknown, ...flags: readonly string[]): string {
  try {
    load(file, ...flags);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message.replace(join(folder, 'daemon.json'), 'FILE');
  }
  assert.fail('accepted');
}

test('flags as people write them', () => {
  const { config } = load(
    {},
    ...['-D', '-H', 'unix:///a', '-Hunix:///b', '--host=tcp://127.0.0.1:2375', '--label', 'a=b', '--label=c=d'],
    ...['--icc=false', '--mtu', '1400', '--default-ulimit', 'nofile=64:128', '--dns', '192.0.2.1,192.0.2.2'],
    ...['--log-opt', 'max-size=1m', '--log-opt', 'max-file=2', '--default-shm-size', '128m', '-l', 'warn'],
    ...['--default-address-pool', 'base=10.0.0.0/8,size=24', '--add-runtime', 'other=/bin/other'],
  );
  assert.equal(config.debug, true);
  assert.deepEqual(config.hosts, ['unix:///a', 'unix:///b', 'tcp://127.0.0.1:2375']);
  assert.deepEqual(config.labels, ['a=b', 'c=d']);
  assert.equal(config.bridge.interContainer, false);
  assert.equal(config.bridge.mtu, 1400);
  assert.deepEqual(config.defaultUlimits, { nofile: { Name: 'nofile', Soft: 64, Hard: 128 } });
  assert.deepEqual(config.dns, ['192.0.2.1', '192.0.2.2']);
  assert.deepEqual(config.logOpts, { 'max-size': '1m', 'max-file': '2' });
  assert.equal(config.defaultShmSize, 128 << 20);
  assert.equal(config.logLevel, 'warn');
  assert.deepEqual(config.defaultAddressPools, [{ base: '10.0.0.0/8', size: 24 }]);
  assert.deepEqual(config.runtimes, { other: { path: '/bin/other' } });
});

test('a daemon.json, and what follows from the folders', () => {
  const { config, warnings } = load({
    'run-dir': '/r',
    'state-dir': '/s',
    'log-driver': 'x',
    'live-restore': false,
    bip: '192.168.9.1/24',
    'default-ulimits': { core: { Name: 'core', Soft: 0, Hard: -1 } },
    runtimes: { other: { path: '/bin/other', runtimeArgs: ['--debug'] } },
    proxies: { 'http-proxy': 'http://example.org' },
    'registry-mirrors': ['https://example.org'],
    builder: { gc: { enabled: true } },
    features: { buildkit: true },
  });
  assert.equal(config.dataRoot, '/s/shim');
  assert.equal(config.execRoot, '/r/shim');
  assert.deepEqual(config.hosts, ['unix:///r/docker.sock']);
  assert.equal(config.logDriver, 'x');
  assert.equal(config.liveRestore, false);
  assert.equal(config.bridge.bip, '192.168.9.1/24');
  assert.deepEqual(config.runtimes, { other: { path: '/bin/other', runtimeArgs: ['--debug'] } });
  assert.equal(warnings.length, 4);
  assert.match(warnings.join('\n'), /--registry-mirror has no effect: the shim talks to no registry/);
});

test('in the file and as a flag is a conflict, except runtimes', () => {
  assert.equal(
    refusal(
      { debug: true, labels: ['a=b'], 'log-opts': { x: 'y' } },
      '--debug=false',
      '--label',
      'c=d',
      '--log-opt',
      'z=1',
    ),
    'unable to configure cleat-shim with file FILE: the following directives are specified both as a flag and in the configuration file: debug: (from flag: false, from file: true), labels: (from flag: [c=d], from file: [a=b]), log-opts: (from flag: map[z:1], from file: map[x:y])',
  );
  const { config } = load({ runtimes: { one: { path: '/1' } } }, '--add-runtime', 'two=/2');
  assert.deepEqual(Object.keys(config.runtimes), ['one', 'two']);
});

test('wrong files, in dockerd’s words', () => {
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [{ foo: 1, bar: 2 }, /the following directives don't match any configuration option: foo, bar$/],
    [{ debug: 'x' }, /cannot unmarshal string into Go struct field Config\.debug of type bool/],
    [{ mtu: 'x' }, /cannot unmarshal string into Go struct field Config\.mtu of type int/],
    ['{', /invalid JSON/],
    ['[]', /no object/],
    [{ labels: ['a'] }, /bad attribute format: a/],
    [{ labels: ['a=b', 'a=c'] }, /conflict labels for a=c and a=b/],
    [{ dns: ['x'] }, /x is not an ip address/],
    [{ bip: 'x' }, /invalid CIDR address: x/],
    [{ bip: '10.0.0.1/24', bridge: 'br0' }, /mutually exclusive/],
    [{ hosts: ['foo://x'] }, /invalid bind address \(foo:\/\/x\)/],
    [{ 'userns-remap': 'default' }, /user namespaces are not supported/],
    [{ iptables: false }, /--iptables is not supported: .*cleat-networkd/],
    [{ 'storage-driver': 'btrfs' }, /only overlay2 is supported/],
    [{ 'authorization-plugins': ['x'] }, /every client that reaches the socket may do everything/],
    [{ 'exec-opts': ['native.cgroupdriver=systemd'] }, /only native\.cgroupdriver=cgroupfs/],
  ];
  for (const [file, message] of wrong) assert.match(refusal(file), message);
  assert.doesNotThrow(() => load(''));
  assert.doesNotThrow(() => load({ iptables: true, 'storage-driver': 'overlay2', 'selinux-enabled': false }));
});

test('wrong flags name the nearest known one', () => {
  assert.equal(refusal({}, '--labell', 'a=b'), 'unknown flag: --labell (did you mean --label?)');
  assert.match(refusal({}, '-x'), /unknown shorthand flag: 'x' in -x/);
  assert.match(refusal({}, '--mtu'), /flag needs an argument: --mtu/);
  assert.match(refusal({}, '--mtu', 'x'), /invalid argument "x" for "--mtu" flag/);
  assert.match(refusal({}, '--debug=maybe'), /invalid argument "maybe" for "--debug" flag/);
  assert.match(refusal({}, 'extra'), /accepts no arguments: extra/);
  assert.match(refusal({}, '--default-ulimit', 'x'), /invalid ulimit argument: x/);
});

test('a reload takes over what dockerd takes over', () => {
  const before = load({ debug: false, labels: ['a=b'], 'log-driver': 'x' }).config;
  const after = load({ debug: true, labels: ['a=c'], 'log-driver': 'y' }).config;
  const { config, changed, later } = reloadConfig(before, after);
  assert.deepEqual([...changed].sort(), ['debug', 'labels']);
  assert.deepEqual(later, ['logDriver']);
  assert.equal(config.debug, true);
  assert.equal(config.logDriver, 'x');
});

test.run();
