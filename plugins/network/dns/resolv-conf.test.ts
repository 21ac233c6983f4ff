import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { followResolvConf, parseResolvConf, type ResolvConf, readResolvConf } from './resolv-conf.ts';

test('servers and search domains, as resolv.conf(5) has them', () => {
  const text = [
    '# made by hand',
    'domain old.example',
    'search Example.org. sub.example.org',
    'nameserver 192.0.2.53 # first',
    'nameserver fe80::1%eth0',
    'nameserver not-an-address',
    'nameserver 192.0.2.53',
    'options ndots:1',
  ].join('\n');
  assert.equal(parseResolvConf(text), {
    servers: ['192.0.2.53', 'fe80::1%eth0'],
    search: ['example.org', 'sub.example.org'],
  });
  assert.equal(parseResolvConf(''), { servers: [], search: [] });
});

test('behind the stub of systemd-resolved are the real servers', () => {
  const dir = mkdtempSync(join(tmpdir(), 'cleat-resolv-'));
  const [conf, behind] = [join(dir, 'resolv.conf'), join(dir, 'real.conf')];
  writeFileSync(conf, 'nameserver 127.0.0.53\nsearch lan\n');
  assert.equal(readResolvConf(conf, behind).servers, ['127.0.0.53'], 'no list: the stub itself');
  writeFileSync(behind, 'nameserver 192.0.2.53\n');
  assert.equal(readResolvConf(conf, behind), { servers: ['192.0.2.53'], search: ['lan'] });
  writeFileSync(conf, 'nameserver 192.0.2.54\n');
  assert.equal(readResolvConf(conf, behind).servers, ['192.0.2.54']);
  rmSync(dir, { recursive: true });
});

test('a change is told, also one by rename', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'cleat-resolv-'));
  const path = join(dir, 'resolv.conf');
  writeFileSync(path, 'nameserver 192.0.2.1\n');
  const changes: ResolvConf[] = [];
  let wake = (): void => {};
  const follow = followResolvConf(
    (conf) => {
      changes.push(conf);
      wake();
    },
    path,
    join(dir, 'none'),
  );
  const next = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  let told = next();
  writeFileSync(`${path}.new`, 'nameserver 192.0.2.2\n');
  renameSync(`${path}.new`, path);
  await told;
  told = next();
  writeFileSync(path, 'nameserver 192.0.2.3\n');
  await told;
  assert.equal(changes.at(-1)?.servers, ['192.0.2.3']);
  assert.equal(changes[0]?.servers, ['192.0.2.2']);
  follow.close();
  rmSync(dir, { recursive: true });
});

test.run();
