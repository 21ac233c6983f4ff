/**
 * Names under real engines: a container asks 127.0.0.11, as every image does, and cleat answers there.
 *
 *     host ─┬─ dockerd ── containers on cleat-bridge networks; `ask` has dig
 *           └─ cleat-networkd, which follows /run/docker.sock
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openNetns } from '../../plugins/linux/netns.ts';
import { startLoad } from '../integration/dns-load.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { eventually } from '../support/deadline.ts';
import { type Engine, type EngineVersion, startEngine, usualEngines } from '../support/engine.ts';
import { createHost, type Host } from '../support/host.ts';
import { missing } from '../support/requires.ts';

const changes = Number(process.env['CLEAT_ROUNDS'] ?? 20);

interface World {
  readonly host: Host;
  readonly engine: Engine;
  readonly networkd: Daemon;
  /** Runs a container that sleeps, or what `command` says. */
  run(name: string, network: string, options?: readonly string[], command?: readonly string[]): Promise<void>;
  /** `dig +short` in a container, a line each. */
  dig(from: string, ...args: readonly string[]): Promise<string[]>;
  address(name: string, network: string): Promise<string>;
}

async function makeWorld(version: EngineVersion): Promise<World> {
  const host = await createHost({ name: 'dns' });
  const networkd = await startDaemon('networkd', host, { logLevel: 'debug' });
  const engine = await startEngine({ version, host, images: ['busybox', 'tools'], liveRestore: true });
  return {
    host,
    engine,
    networkd,
    async run(name, network, options = [], command = ['sleep', '3600']) {
      await engine.docker('run', '-d', '--init', '--name', name, '--network', network, ...options, 'tools', ...command);
    },
    async dig(from, ...args) {
      const text = await engine.docker('exec', from, 'dig', '+short', '+tries=1', ...args);
      return text.split('\n').filter((line) => line !== '');
    },
    address: (name, network) =>
      engine.docker('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name),
  };
}

const sorted = (lines: readonly string[]): string => [...lines].sort().join(' ');

for (const version of usualEngines) {
  const reason = missing('root', `engine-${version}`);
  if (reason !== undefined) {
    console.log(`# skip: ${reason}`);
    continue;
  }
  const names = suite(`names under engine ${version}`);
  const world = makeWorld(version);
  names.after.each(async () => {
    const { engine } = await world;
    const left = (await engine.docker('ps', '-aq')).split('\n').filter((id) => id !== '');
    if (left.length > 0) await engine.docker('rm', '-f', ...left);
    await engine.docker('network', 'prune', '-f');
  });
  names.after(async () => (await world).host.close());

  names(`two containers under one alias, in turn; one stops, and is gone`, async () => {
    const { engine, run, dig, address } = await world;
    await engine.docker('network', 'create', '-d', 'cleat-bridge', 'net1');
    for (const name of ['one', 'two']) await run(name, 'net1', ['--network-alias', 'search']);
    await run('ask', 'net1');
    const [one, two] = [await address('one', 'net1'), await address('two', 'net1')];
    await eventually('both are known', async () => (await dig('ask', 'search')).length === 2);
    const firsts = await dig('ask', ...Array.from({ length: 20 }, () => 'search'));
    const count = firsts.filter((_, index) => index % 2 === 0 && firsts[index] === one).length;
    assert.is(count, 10, 'each comes first every other time');
    assert.is(sorted(await dig('ask', 'search')), sorted([one, two]));
    const shown = await engine.docker('run', '--rm', '--network', 'net1', 'busybox', 'nslookup', 'search');
    assert.ok(shown.includes(one) && shown.includes(two), shown);
    await engine.docker('stop', '-t', '0', 'one');
    assert.equal(await dig('ask', 'search'), [two], 'gone from the very next answer');
    await engine.docker('start', 'one');
    await eventually('it is back', async () => (await dig('ask', 'search')).length === 2);
  });

  names(`all kinds of names, rename, pause, health`, async () => {
    const { engine, networkd, run, dig, address } = await world;
    const records = [
      'cleat.dns.record.db=CNAME web',
      'cleat.dns.record.info=TXT hello',
      'cleat.dns.domain=shop.internal',
    ];
    await engine.docker(
      'network',
      'create',
      '-d',
      'cleat-bridge',
      '--ipv6',
      '--subnet',
      '2001:db8:7::/64',
      ...records.flatMap((one) => ['-o', one]),
      'shop',
    );
    await engine.docker('network', 'create', '-d', 'cleat-bridge', 'other');
    const health = ['--health-cmd', 'test -e /tmp/ok', '--health-interval', '1s', '--health-retries', '1'];
    await run(
      'web',
      'shop',
      ['--network-alias', 'www', '--network-alias', '*.app', '--expose', '80', ...health],
      ['sh', '-c', 'touch /tmp/ok; sleep 3600'],
    );
    await run('far', 'other');
    await run('ask', 'shop');
    const web = await address('web', 'shop');
    await eventually('web is known', async () => (await dig('ask', 'web')).length === 1);
    const id = (await engine.docker('inspect', '-f', '{{.Id}}', 'web')).slice(0, 12);
    for (const name of ['web', 'WEB', 'www', 'web.shop', 'web.shop.internal', 'any.app', 'a.b.app.shop', id]) {
      assert.equal(await dig('ask', name), [web], name);
    }
    assert.equal(await dig('ask', 'db'), ['web.', web]);
    assert.equal(await dig('ask', 'info', 'TXT'), ['"hello"']);
    assert.equal(await dig('ask', '_http._tcp.www', 'SRV'), ['0 0 80 web.shop.internal.']);
    assert.equal(await dig('ask', '-x', web), ['web.shop.internal.']);
    const [six] = await dig('ask', 'web', 'AAAA');
    assert.match(six ?? '', /^2001:db8:7::/);
    assert.equal(await dig('ask', '-x', six ?? ''), ['web.shop.internal.']);
    assert.equal(await dig('ask', '+tcp', 'web'), [web]);
    assert.is((await dig('ask', 'host.docker.internal')).length, 1);
    assert.equal(await dig('ask', 'far'), [], 'a container of another network is not seen');
    await engine.docker('network', 'connect', '--alias', 'friend', 'shop', 'far');
    await eventually('it is seen once it is here', async () => (await dig('ask', 'friend')).length === 1);
    assert.equal(await dig('far', 'web'), [web], 'and sees both networks');
    assert.equal(await dig('ask', 'friend'), [await address('far', 'shop')], 'by its address here');
    await engine.docker('network', 'disconnect', 'shop', 'far');
    assert.equal(await dig('ask', 'friend'), []);

    await engine.docker('rename', 'web', 'site');
    await eventually('the new name', async () => (await dig('ask', 'site')).length === 1);
    assert.equal(await dig('ask', 'www'), [web], 'aliases stay');
    const before = await dig('ask', 'site');
    await engine.docker('pause', 'site');
    await eventually('paused: no address', async () => (await dig('ask', 'site')).length === 0);
    await engine.docker('unpause', 'site');
    await eventually('and back', async () => sorted(await dig('ask', 'site')) === sorted(before));
    await engine.docker('exec', 'site', 'rm', '/tmp/ok');
    await eventually('unhealthy: no address', async () => (await dig('ask', 'www')).length === 0);
    await engine.docker('exec', 'site', 'touch', '/tmp/ok');
    await eventually('healthy again', async () => (await dig('ask', 'www')).length === 1);

    const explained = JSON.parse(await networkd.cleat('dns', 'query', 'www', '--network', 'shop', '--json')) as {
      records: { data: string; source: string; container: string }[];
    };
    assert.equal(
      explained.records.map(({ data, source, container }) => [data, source, container]),
      [[web, 'alias', 'site']],
    );
  });

  names(`cleat stops, is killed, comes back; the engine is killed: names are answered all the time`, async () => {
    const { host, engine, networkd, run, dig, address } = await world;
    await engine.docker('network', 'create', '-d', 'cleat-bridge', '-o', 'cleat.dns.record.ours=192.0.2.7', 'net1');
    await run('web', 'net1', ['--network-alias', 'search']);
    await run('ask', 'net1');
    const web = await address('web', 'net1');
    await eventually('cleat answers', async () => (await dig('ask', 'ours')).length === 1);
    const table = () =>
      host.sh(
        `nsenter --net=$(docker -H unix:///run/docker.sock inspect -f '{{.NetworkSettings.SandboxKey}}' ask) nft list tables`,
      );
    assert.match(await table(), /cleat-dns/);

    await networkd.kill();
    assert.not.match(await table(), /cleat-dns/, 'the redirection went with the process');
    assert.equal(await dig('ask', 'search'), [web], "the engine's own resolver answers");
    assert.equal(await dig('ask', '+tcp', 'search'), [web]);
    await networkd.start();
    await eventually('cleat answers again, all names', async () => {
      const lines = await dig('ask', 'ours', 'search', 'web');
      return sorted(lines) === sorted(['192.0.2.7', web, web]);
    });
    await networkd.stop();
    assert.equal(await dig('ask', 'search'), [web]);
    await networkd.start();
    await eventually('and after a stop', async () => (await dig('ask', 'ours')).length === 1);

    await engine.kill();
    await engine.start();
    assert.equal(await dig('ask', 'search'), [web], 'the engine restarted, containers kept');
    assert.equal(await dig('ask', 'ours'), ['192.0.2.7']);
    await run('late', 'net1', ['--network-alias', 'search']);
    await eventually(
      'what the engine starts afterwards is known',
      async () => (await dig('ask', 'search')).length === 2,
    );
  });

  names(`a compose project: services by name, scaled, and gone`, async () => {
    const { host, engine, dig } = await world;
    const reason = missing('engine-28');
    if (reason !== undefined) return console.log(`# skip: ${reason}`);
    const folder = join(host.dir, `project-${version}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, 'compose.yaml'),
      `networks: { default: { driver: cleat-bridge, driver_opts: { cleat.dns.record.extra: 192.0.2.7 } } }
services:
  web: { image: tools, init: true, command: sleep 3600, networks: { default: { aliases: [search, "*.app"] } } }
  ask: { image: tools, init: true, command: sleep 3600, container_name: ask }
`,
    );
    const compose = (...args: readonly string[]): Promise<unknown> =>
      engine.dockerWith({ timeoutMs: 120_000 }, 'compose', '--project-directory', folder, '-p', 'shop', ...args);
    await compose('up', '-d', '--scale', 'web=3');
    for (const name of ['web', 'search', 'web.shop_default', 'any.app']) {
      await eventually(`${name} is all three`, async () => (await dig('ask', name)).length === 3);
    }
    assert.is((await dig('ask', 'shop-web-2')).length, 1, 'each by its own name');
    assert.equal(await dig('ask', 'extra'), ['192.0.2.7']);
    await compose('up', '-d', '--scale', 'web=1');
    assert.is((await dig('ask', 'web')).length, 1, 'gone when compose says so');
    await compose('down', '-t', '0');
  });

  names(`${changes} alias changes under constant load: no query lost, no stale answer`, async () => {
    const { host, engine, run, dig, address } = await world;
    await engine.docker('network', 'create', '-d', 'cleat-bridge', '--subnet', '10.77.0.0/16', 'net1');
    await engine.docker('network', 'create', '-d', 'cleat-bridge', 'base');
    await run('stays', 'net1', ['--network-alias', 'search']);
    await run('ask', 'net1');
    await run('comes', 'base');
    const stays = await address('stays', 'net1');
    await eventually('it is known', async () => (await dig('ask', 'search'))[0] === stays);
    const key = await engine.docker('inspect', '-f', '{{.NetworkSettings.SandboxKey}}', 'ask');
    // /var/run is a link, which would lead out of the host.
    using netns = openNetns(host.path(key.replace(/^\/var/, '')));
    const load = startLoad(netns, '127.0.0.11', 'search', 4);
    /** Address → when the engine said that it had gone. No address comes twice. */
    const gone = new Map<string, number>();
    for (let i = 0; i < changes; i++) {
      const own = `10.77.${1 + (i >> 7)}.${1 + (i & 127)}`;
      await engine.docker('network', 'connect', '--alias', 'search', '--ip', own, 'net1', 'comes');
      await eventually(
        `${own} is in the answer`,
        () => Promise.resolve(load.answers.at(-1)?.addresses.includes(own) === true),
        { everyMs: 5 },
      );
      await engine.docker('network', 'disconnect', 'net1', 'comes');
      gone.set(own, performance.now());
    }
    await load.stop();
    assert.is(load.lost(), 0);
    assert.ok(load.answers.length > changes, `${load.answers.length} answers`);
    for (const { sentAt, addresses } of load.answers) {
      assert.ok(addresses.includes(stays), 'who stays is in every answer');
      for (const one of addresses) {
        const from = gone.get(one) ?? Number.POSITIVE_INFINITY;
        assert.ok(sentAt <= from, `${one} was given ${sentAt - from} ms after it had gone`);
      }
    }
    console.log(`# ${load.answers.length} queries answered during ${changes} changes`);
  });

  names(`what is not ours is the engine's, as before`, async () => {
    const { engine, run, dig, address } = await world;
    await engine.docker('network', 'create', '-d', 'cleat-bridge', 'ours');
    await engine.docker('network', 'create', '-d', 'bridge', 'theirs');
    await run('far', 'theirs', ['--network-alias', 'builtin']);
    await run('ask', 'ours');
    await engine.docker('network', 'connect', 'theirs', 'ask');
    const far = await address('far', 'theirs');
    await eventually("names of the engine's own networks", async () => (await dig('ask', 'builtin'))[0] === far);
    assert.equal(await dig('ask', 'builtin.theirs'), [far], 'with the name of their network too');
    await engine.docker('network', 'create', '-d', 'cleat-bridge', '-o', 'cleat.dns=off', 'plain');
    await run('one', 'plain', ['--network-alias', 'search']);
    await run('two', 'plain');
    assert.equal(await dig('two', 'search'), [await address('one', 'plain')], 'cleat.dns=off: the engine answers');
  });
  names.run();
}
