/** cleat-bridge under real engines with the stock docker command, beside their own rules; and a compose file by both drivers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, type EngineVersion, startEngine, usualEngines } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { missing, requires } from '../support/requires.ts';
import { createSegment, type Segment } from '../support/segment.ts';

requires('root', 'bridge', 'veth', 'nftables', 'engine-20.10');
/** By hand: CLEAT_FIREWALL=iptables for hosts without nftables. */
const config = { firewall: process.env['CLEAT_FIREWALL'] ?? 'auto' };
const versions = (['20.10', '28'] as const).filter((version) => missing(`engine-${version}`) === undefined);

interface Scene {
  readonly host: Host;
  readonly outside: Host;
  readonly daemon: Daemon;
  readonly engine: Engine;
  close(): Promise<void>;
}

async function startScene(version: EngineVersion): Promise<Scene> {
  const parts: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const part of parts.reverse()) await part.close();
  };
  try {
    const host = await createHost({ name: 'bridge-e2e' });
    const outside = await createHost({ name: 'outside' });
    const segment: Segment = await createSegment();
    parts.push(host, outside, segment);
    await segment.attach(host, { addresses: ['198.51.100.1/24', '2001:db8:51::1/64'], gateway: '198.51.100.254' });
    await segment.attach(outside, { addresses: ['198.51.100.9/24', '2001:db8:51::9/64'] });
    const daemon = await startDaemon('networkd', host, { config });
    const engine = await startEngine({ version, host, liveRestore: true });
    parts.push(engine);
    return { host, outside, daemon, engine, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The docker command is newer than engine 20.10, and refuses to give it a MAC. */
const mac = '02:00:5e:00:53:80';
const web = 'mkdir -p /w; echo page > /w/index.html; exec httpd -f -h /w -p 80';
const fetchPage = (from: Host, address: string, port: number) =>
  from.sh(
    `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 4 socat -t 2 - TCP:${address}:${port},connect-timeout=2 2>/dev/null | tail -1 || true`,
  );

for (const version of versions) {
  test(`Docker ${version}: a container's life on cleat-bridge`, async () => {
    const scene = await startScene(version);
    const { host, outside, daemon, engine } = scene;
    const { docker } = engine;
    try {
      const clean = await state(host);
      await docker(
        'network',
        'create',
        '-d',
        'cleat-bridge',
        '--subnet',
        '192.0.2.0/24',
        '--ipv6',
        '--subnet',
        '2001:db8:1::/64',
        'one',
      );
      await docker('network', 'create', '-d', 'cleat-bridge', '--subnet', '203.0.113.0/24', 'two');
      await docker(
        'run',
        '-d',
        '--name',
        'web',
        '--net',
        'one',
        '--ip',
        '192.0.2.80',
        ...(version === '28' ? ['--mac-address', mac] : []),
        '-p',
        '8080:80',
        '-p',
        '8443-8450:8443-8450',
        'busybox',
        'sh',
        '-c',
        web,
      );
      const page = () => docker('run', '--rm', '--net', 'one', 'busybox', 'wget', '-qO-', 'http://web/');
      await eventually('the page', async () => (await page()) === 'page');
      assert.match(
        await docker('exec', 'web', 'ip', 'addr', 'show', 'eth0'),
        new RegExp(`${version === '28' ? mac : '02:42:c0:00:02:50'}[\\s\\S]*192.0.2\\.80/24[\\s\\S]*2001:db8:1::`),
      );
      for (const [from, address] of [
        [outside, '198.51.100.1'],
        [outside, '[2001:db8:51::1]'],
        [host, '127.0.0.1'],
        [host, '[::1]'],
        [host, '192.0.2.1'],
      ] as const) {
        assert.is(await fetchPage(from, address, 8080), 'page', address);
      }
      // Isolation from the other network and from outside, connect and disconnect.
      await docker('run', '-d', '--name', 'far', '--net', 'two', 'busybox', 'sh', '-c', web);
      await refused(
        () => docker('exec', 'far', 'timeout', '2', 'wget', '-qO-', 'http://192.0.2.80/'),
        /ended with exit code/,
      );
      assert.is(
        await docker('exec', 'far', 'wget', '-qO-', 'http://198.51.100.1:8080/'),
        'page',
        'by the published port',
      );
      await docker('network', 'connect', 'one', 'far');
      assert.is(await docker('exec', 'far', 'wget', '-qO-', 'http://web/'), 'page');
      await docker('network', 'disconnect', 'one', 'far');
      await refused(
        () => docker('exec', 'far', 'timeout', '2', 'wget', '-qO-', 'http://192.0.2.80/'),
        /ended with exit code/,
      );
      // The engine's own bridge network is there too, and neither reaches the other.
      await docker('run', '-d', '--name', 'builtin', '-p', '8081:80', 'busybox', 'sh', '-c', web);
      await eventually(
        'the page of the built-in driver',
        async () => (await fetchPage(outside, '198.51.100.1', 8081)) === 'page',
      );
      await refused(
        () => docker('exec', 'builtin', 'timeout', '2', 'wget', '-qO-', 'http://192.0.2.80/'),
        /ended with exit code/,
      );
      await refused(
        () => docker('run', '--rm', '--net', 'two', '-p', '8081:80', 'busybox', 'true'),
        /host port 8081\/tcp is used by docker-proxy \(pid \d+\)/,
      );
      await refused(
        () => docker('run', '--rm', '--net', 'two', '-p', '8080:80', 'busybox', 'true'),
        /host port 8080\/tcp is already published on every address by the container web/,
      );
      assert.match(await daemon.cleat('ports'), /web +tcp +0\.0\.0\.0:8443-8450 +192\.0\.2\.80:8443-8450 +one +nat/);
      if (version === '28') {
        const six = ['--ipv4=false', '--ipv6', '--subnet', '2001:db8:6::/64'];
        await docker('network', 'create', '-d', 'cleat-bridge', ...six, 'six');
        await docker('run', '-d', '--name', 'six', '--net', 'six', '-p', '8086:80', 'busybox', 'sh', '-c', web);
        await eventually(
          'the page over IPv6',
          async () => (await fetchPage(outside, '[2001:db8:51::1]', 8086)) === 'page',
        );
        await docker('rm', '-f', 'six');
        await docker('network', 'rm', 'six');
      }
      // The daemon, then the engine (live restore), ended without a word.
      await daemon.kill();
      assert.is(await fetchPage(outside, '198.51.100.1', 8080), 'page');
      await daemon.start();
      await engine.kill();
      assert.is(await fetchPage(outside, '198.51.100.1', 8080), 'page');
      await engine.start();
      assert.is(await fetchPage(outside, '198.51.100.1', 8080), 'page');
      await docker('rm', '-f', 'web', 'far', 'builtin');
      await docker('network', 'rm', 'one', 'two');
      await eventually('a clean host', async () => (await state(host)) === clean);
    } finally {
      await scene.close();
    }
  });
}

// Side by side: most of it is waiting for the engine to give up.
test('an engine that lost everything, and one that stopped while the daemon was down', async () => {
  await Promise.all(usualEngines.map(loseEngine));
});

async function loseEngine(version: EngineVersion): Promise<void> {
  const host = await createHost({ name: 'lost' });
  try {
    const daemon = await startDaemon('networkd', host, {
      config: { ...config, dns: { engines: ['/run/docker.sock'] } },
    });
    const engine = await startEngine({ version, host });
    const { docker } = engine;
    const clean = await state(host);
    await docker('network', 'create', '-d', 'cleat-bridge', '--subnet', '192.0.2.0/24', 'one');
    await docker('run', '-d', '--name', 'web', '--net', 'one', '-p', '8080:80', 'busybox', 'sh', '-c', web);
    await daemon.kill();
    await engine.stop();
    await daemon.start();
    await engine.start();
    await docker('start', 'web');
    await eventually('the page', async () => (await fetchPage(host, '127.0.0.1', 8080)) === 'page');
    await engine.wipe();
    await engine.start();
    await eventually('the forgotten network removed', async () => (await state(host)) === clean, {
      timeoutMs: 40_000,
    });
  } finally {
    await host.close();
  }
}

if (versions.includes('28')) {
  test('one compose file, driver bridge and driver cleat-bridge: the same to see', async () => {
    const scene = await startScene('28');
    const { host, outside, engine } = scene;
    try {
      const seen: Record<string, string[]> = {};
      for (const driver of ['bridge', 'cleat-bridge']) {
        writeFileSync(join(host.dir, 'compose.yaml'), composeFile(driver));
        const compose = (...args: string[]) =>
          engine.docker('compose', '-p', 'shop', '-f', join(host.dir, 'compose.yaml'), ...args);
        await compose('up', '-d');
        const inside = (service: string, command: string) =>
          compose('exec', '-T', service, 'sh', '-c', command).catch(
            (error: Error & { stdout?: string }) => `failed ${error.stdout ?? ''}`,
          );
        seen[driver] = [
          await inside('front', 'wget -qO- http://back/'),
          await inside('front', 'wget -qO- http://store/'),
          await inside('front', 'timeout 2 wget -qO- http://vault/'),
          await inside('back', 'wget -qO- http://vault/'),
          await inside('back', "ip -o -4 addr show | awk '{ print $4 }' | sort"),
          await inside('vault', "ip route | grep -c default; ip link show eth0 | grep -o 'mtu [0-9]*'"),
          await inside('front', "ip link show eth0 | grep -o 'mtu [0-9]*'; ip route | grep default"),
          await fetchPage(outside, '198.51.100.1', 8080),
          await fetchPage(outside, '[2001:db8:51::1]', 8080),
          await fetchPage(host, '127.0.0.1', 8090),
          await fetchPage(outside, '198.51.100.1', 8090),
          await fetchPage(host, '[::1]', 8080),
        ];
        await compose('down');
        assert.is(await engine.docker('network', 'ls', '-q', '--filter', 'name=shop'), '');
      }
      assert.equal(seen['cleat-bridge'], seen['bridge']);
      assert.is(seen['bridge']?.[0], 'page');
    } finally {
      await scene.close();
    }
  });
}

async function refused(run: () => Promise<unknown>, words: RegExp): Promise<void> {
  const outcome = await run().then(
    () => 'it succeeded',
    (error: Error) => error.message,
  );
  assert.match(outcome, words);
}

/** What must be the same before and after: links, our table, addresses. */
function state(host: Host): Promise<string> {
  return host.sh(
    "ip -o link | awk '{ print $2 }' | grep -vE '^(docker0|veth)' ; ls /run/netns 2>/dev/null; nft list table inet cleat 2>/dev/null || true; iptables-save | grep -i cleat || true",
  );
}

function composeFile(driver: string): string {
  const command = JSON.stringify(['sh', '-c', web]);
  return `
services:
  front: { image: busybox, command: ${command}, networks: [edge], ports: ["8080:80", "127.0.0.1:8090:80"] }
  back:
    image: busybox
    command: ${command}
    networks: { edge: { aliases: [store], ipv4_address: 192.0.2.20 }, inner: { ipv4_address: 203.0.113.20 } }
  vault: { image: busybox, command: ${command}, networks: [inner] }
networks:
  edge:
    driver: ${driver}
    driver_opts: { com.docker.network.driver.mtu: "1400", com.docker.network.bridge.name: shop0 }
    ipam: { config: [{ subnet: 192.0.2.0/24, gateway: 192.0.2.254 }] }
  inner: { driver: ${driver}, internal: true, ipam: { config: [{ subnet: 203.0.113.0/24 }] } }
`;
}

test.run();
