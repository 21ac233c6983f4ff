import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { readOverlayConfig } from '../config.ts';
import { readEtcdConfig } from './config.ts';

const refused = (section: unknown): string => {
  try {
    readEtcdConfig(section);
  } catch (error) {
    return (error as Error).message;
  }
  return 'accepted';
};

test('endpoints, a prefix, and what must go together', () => {
  const { endpoints, prefix, reclaimMs } = readEtcdConfig({ endpoints: ['http://192.0.2.1:2379/'], prefix: '/lab' });
  assert.equal([endpoints, prefix, reclaimMs], [['http://192.0.2.1:2379'], '/lab/', 86_400_000]);
  assert.match(refused(7), /must be an object/);
  assert.match(refused({}), /has no "endpoints"/);
  assert.match(refused({ endpoints: '192.0.2.1:2379' }), /endpoints/);
  assert.match(refused({ endpoints: 'http://user:word@192.0.2.1:2379' }), /endpoints/);
  assert.match(refused({ endpoints: 'http://192.0.2.1:2379', key: '/k' }), /"cert" and "key" together/);
  assert.match(refused({ endpoints: 'http://192.0.2.1:2379', user: 'u' }), /"user" and "passwordFile" together/);
  assert.match(refused({ endpoints: 'http://192.0.2.1:2379', ca: '/ca' }), /in clear: write https/);
  assert.match(refused({ endpoints: 'http://192.0.2.1:2379', nonsense: '1' }), /nonsense/);
  assert.match(refused({ endpoints: 'http://192.0.2.1:2379', reclaim: '1s' }), /reclaim/);
  const both = () => readOverlayConfig({ peers: ['192.0.2.1'], etcd: { endpoints: 'http://192.0.2.1:2379' } });
  assert.throws(both, /both "etcd" and "peers"/);
});

test('a password is in a file that nobody else can read, and in no message', () => {
  const dir = mkdtempSync(join(tmpdir(), 'cleat-etcd-'));
  try {
    const passwordFile = join(dir, 'password');
    writeFileSync(passwordFile, 'hush hush\n', { mode: 0o600 });
    const section = { endpoints: 'https://192.0.2.1:2379', user: 'u', passwordFile };
    assert.is(readEtcdConfig(section).password, 'hush hush');
    chmodSync(passwordFile, 0o640);
    assert.match(refused(section), /can be read by others: chmod 600/);
    assert.not.match(refused(section), /hush/);
    assert.match(refused({ ...section, passwordFile: join(dir, 'none') }), /cannot be read/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test.run();
