import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { parseDeviceRule } from '../runtime/device.ts';
import { goFileMode } from './copy.ts';
import { decodeContainerConfig, decodeHostConfig } from './decode-config.ts';
import { parseLink } from './links.ts';
import { parseTable } from './top.ts';
import { checkConfig, parseSet } from './validate.ts';

const check = (config: object, hostConfig: object = {}) => {
  const body = { Image: 'x', ...config, HostConfig: hostConfig };
  return checkConfig(decodeContainerConfig(body), decodeHostConfig(body));
};

test('conflicts and ranges, in words that users know', () => {
  const cases: readonly (readonly [object, object, RegExp])[] = [
    [{}, { Memory: 1 << 20 }, /^Minimum memory limit allowed is 6MB$/],
    [{}, { Memory: 64 << 20, MemorySwap: 32 << 20 }, /^Minimum memoryswap limit should be larger than memory limit/],
    [{}, { MemorySwap: 32 << 20 }, /^You should always set the Memory limit/],
    [{}, { NanoCpus: 1e9, CpuQuota: 5000 }, /^Conflicting options: Nano CPUs and CPU Quota/],
    [{}, { CpuPeriod: 10 }, /^CPU cfs period can not be less than 1ms/],
    [
      {},
      { AutoRemove: true, RestartPolicy: { Name: 'always' } },
      /^can't create 'AutoRemove' container with restart policy$/,
    ],
    [
      {},
      { RestartPolicy: { Name: 'always', MaximumRetryCount: 3 } },
      /maximum retry count can only be used with 'on-failure'/,
    ],
    [{ Hostname: 'a' }, { UTSMode: 'host' }, /^conflicting options: hostname and the UTS mode$/],
    [{}, { NetworkMode: 'container:a', Dns: ['192.0.2.1'] }, /^conflicting options: dns and the network mode$/],
    [{ WorkingDir: 'a' }, {}, /it needs to be an absolute path$/],
    [{ StopSignal: 'NOPE' }, {}, /^invalid signal: NOPE$/],
    [{ Healthcheck: { Interval: 1 } }, {}, /^Interval in Healthcheck cannot be less than 1ms$/],
    [{}, { StorageOpt: { size: '1G' } }, /not supported/],
    [
      {},
      { DeviceRequests: [{ Capabilities: [['gpu']] }] },
      /could not select device driver "" with capabilities: \[\[gpu\]\]/,
    ],
  ];
  for (const [config, hostConfig, words] of cases) assert.throws(() => check(config, hostConfig), { message: words });
  assert.deepEqual(check({}, { NetworkMode: 'host', PortBindings: { '80/tcp': [] } }), [
    'Published ports are discarded when using host network mode',
  ]);
});

test('fields of the wrong kind are named', () => {
  assert.throws(() => check({ Tty: 'yes' }), /field Tty must be a boolean/);
  assert.throws(() => check({}, { Ulimits: [{ Name: 1 }] }), /field Name must be a string/);
  assert.throws(() => check({}, { Memory: 0.5 }), /field Memory must be a number/);
  assert.throws(() => check({}, { PortBindings: { '80/tcp': 'x' } }), /PortBindings of 80\/tcp must be a list/);
});

test('sets of processors', () => {
  assert.deepEqual(parseSet('0-2,4'), new Set([0, 1, 2, 4]));
  for (const wrong of ['', 'a', '2-1', '1,,2', '-1', '99999999']) assert.equal(parseSet(wrong), undefined, wrong);
});

test('device rules', () => {
  assert.deepEqual(parseDeviceRule('c 1:* rw'), { allow: true, type: 'c', major: 1, access: 'rw' });
  assert.throws(() => parseDeviceRule('x 1:1 r'), /invalid device cgroup rule format/);
});

test('links', () => {
  assert.deepEqual(parseLink('db'), { name: 'db', alias: 'db' });
  assert.deepEqual(parseLink('/db:/web/pg'), { name: 'db', alias: 'pg' });
  assert.throws(() => parseLink('a:b:c'), /bad format for links/);
});

test('the table of ps, cut down', () => {
  const text = 'UID PID CMD\nroot 1 init\nroot 17 sleep  1000 a\n';
  assert.deepEqual(parseTable(text, new Set([17])), {
    Titles: ['UID', 'PID', 'CMD'],
    Processes: [['root', '17', 'sleep 1000 a']],
  });
  assert.throws(() => parseTable('CMD\nx\n', new Set()), /Couldn't find PID field/);
});

test("Go's file modes", () => {
  const stat = (mode: number, kind: string) =>
    Object.assign(
      Object.fromEntries(
        ['isDirectory', 'isSymbolicLink', 'isBlockDevice', 'isCharacterDevice', 'isFIFO', 'isSocket'].map((name) => [
          name,
          () => name === kind,
        ]),
      ),
      { mode },
    ) as never;
  assert.equal(goFileMode(stat(0o40755, 'isDirectory')), 2 ** 31 + 0o755);
  assert.equal(goFileMode(stat(0o104755, '')), 2 ** 23 + 0o755);
  assert.equal(goFileMode(stat(0o20620, 'isCharacterDevice')), 2 ** 26 + 2 ** 21 + 0o620);
});

test.run();
