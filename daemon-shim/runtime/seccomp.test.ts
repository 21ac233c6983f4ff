import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { parseSeccompProfile, type SeccompFacts, seccompForRuntime } from './seccomp.ts';
import { defaultSeccompProfile } from './seccomp-default.ts';

interface Rule {
  readonly names: readonly string[];
  readonly action: string;
  readonly args?: readonly object[];
}

function rulesFor(name: string, facts: Partial<SeccompFacts>): readonly Rule[] {
  const spec = seccompForRuntime(defaultSeccompProfile, {
    capabilities: [],
    architecture: 'amd64',
    kernel: '6.1.0',
    ...facts,
  }) as { readonly syscalls: readonly Rule[] };
  return spec.syscalls.filter((rule) => rule.names.includes(name));
}

test('mount needs CAP_SYS_ADMIN', () => {
  assert.deepEqual(rulesFor('mount', {}), []);
  assert.equal(rulesFor('mount', { capabilities: ['CAP_SYS_ADMIN'] })[0]?.action, 'SCMP_ACT_ALLOW');
});

test('clone without new namespaces, clone3 not at all, unless CAP_SYS_ADMIN', () => {
  assert.deepEqual(
    rulesFor('clone', {}).map(({ args }) => args),
    [[{ index: 0, value: 0x7e020000, op: 'SCMP_CMP_MASKED_EQ' }]],
  );
  assert.equal(rulesFor('clone3', {})[0]?.action, 'SCMP_ACT_ERRNO');
  assert.deepEqual(
    rulesFor('clone3', { capabilities: ['CAP_SYS_ADMIN'] }).map(({ action }) => action),
    ['SCMP_ACT_ALLOW'],
  );
});

test('ptrace since kernel 4.8', () => {
  assert.equal(rulesFor('ptrace', { kernel: '4.4.0' }).length, 0);
  assert.equal(rulesFor('ptrace', { kernel: '4.8.0-rc1' }).length, 1);
});

test('calls of one processor are left out on another; s390 has its own clone', () => {
  assert.equal(rulesFor('arch_prctl', {}).length, 1);
  assert.equal(rulesFor('arch_prctl', { architecture: 'arm64' }).length, 0);
  assert.deepEqual(rulesFor('clone', { architecture: 's390x' })[0]?.args, [
    { index: 1, value: 0x7e020000, op: 'SCMP_CMP_MASKED_EQ' },
  ]);
});

test('io_uring and personality', () => {
  assert.equal(rulesFor('io_uring_setup', {}).length, 0);
  assert.equal(rulesFor('personality', {}).length, 5);
});

test('profiles of users', () => {
  const profile = parseSeccompProfile(
    '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"chmod","action":"SCMP_ACT_ERRNO"}]}',
  );
  assert.deepEqual(seccompForRuntime(profile, { capabilities: [], architecture: 'amd64' }), {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: [],
    syscalls: [{ names: ['chmod'], action: 'SCMP_ACT_ERRNO' }],
  });
  assert.throws(() => parseSeccompProfile('{'), /Decoding seccomp profile failed/);
  assert.throws(() => parseSeccompProfile('null'), /no defaultAction/);
  assert.throws(
    () => parseSeccompProfile('{"defaultAction":"x","archMap":[{}],"architectures":["y"]}'),
    /use either 'architectures' or 'archMap'/,
  );
});

test.run();
