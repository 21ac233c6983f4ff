/** The hosts that all other tests rely on: separate, connected only on demand, and gone without a trace. */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { equal, is, match, not } from 'uvu/assert';
import { eventually } from '../support/deadline.ts';
import { createHost } from '../support/host.ts';
import { requires } from '../support/requires.ts';
import { createSegment } from '../support/segment.ts';

requires('root', 'bridge', 'veth');

test('a host has a network, /run, /etc and host name of its own', async () => {
  const host = await createHost({ name: 'one', resolvConf: 'nameserver 192.0.2.53\n' });
  try {
    equal(
      JSON.parse(await host.sh('ip -json link')).map((link: { ifname: string }) => link.ifname),
      ['lo'],
    );
    is(await host.sh('cat /etc/resolv.conf'), 'nameserver 192.0.2.53');
    match(await host.sh('uname -n'), /^one-/);
    await host.sh('echo mine >/etc/cleat-probe; echo mine >/run/cleat-probe');
    not(existsSync('/etc/cleat-probe'));
    not(existsSync('/run/cleat-probe'));
    writeFileSync(join(host.dir, 'resolv.conf'), 'nameserver 192.0.2.54\n');
    is(await host.sh('cat /etc/resolv.conf'), 'nameserver 192.0.2.54');
  } finally {
    await host.close();
  }
});

test('hosts on one segment reach each other by IPv4 and IPv6', async () => {
  const segment = await createSegment();
  const [left, right] = await Promise.all([createHost(), createHost()]);
  try {
    await segment.attach(left, { addresses: ['192.0.2.1/24', '2001:db8::1/64'] });
    await segment.attach(right, { addresses: ['192.0.2.2/24', '2001:db8::2/64'], mtu: 1400, mac: '02:00:00:00:00:07' });
    await eventually('IPv4', () => left.sh('ping -c1 -W1 192.0.2.2'));
    await eventually('IPv6', () => left.sh('ping -c1 -W1 2001:db8::2'));
    const [link] = JSON.parse(await right.sh('ip -json link show eth0')) as { mtu: number; address: string }[];
    equal({ mtu: link?.mtu, address: link?.address }, { mtu: 1400, address: '02:00:00:00:00:07' });
  } finally {
    await Promise.all([left.close(), right.close(), segment.close()]);
  }
});

test('a process in a host: output, signal, exit', async () => {
  const host = await createHost();
  try {
    const child = host.start('bash', [
      '-c',
      'trap "echo bye; exit 3" TERM; echo hi; while :; do read -t 0.05 <> <(:) || :; done',
    ]);
    await eventually('it says hi', () => child.output().includes('hi'));
    equal(await child.stop(), { code: 3, signal: null });
    match(child.output(), /bye/);
    not(child.running());
  } finally {
    await host.close();
  }
});

test('nothing outlives a test process that is killed', async () => {
  const script = `
    const { createHost } = await import(${JSON.stringify(fileURLToPath(new URL('../support/host.ts', import.meta.url)))});
    const host = await createHost();
    const child = host.start('sleep', ['1234567']);
    console.log(host.pid, await child.pid());
    process.kill(process.pid, 'SIGKILL');`;
  const done = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  is(done.signal, 'SIGKILL');
  const pids = done.stdout.trim().split(' ');
  is(pids.length, 2, done.stderr);
  for (const pid of pids) await eventually(`process ${pid} is gone`, () => !existsSync(`/proc/${pid}/ns`));
});

test.run();
