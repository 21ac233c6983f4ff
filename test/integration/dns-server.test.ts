/**
 * The DNS server on real networks, without an engine: containers are namespaces (bridge-lab.ts), their names come with the
 * endpoints, upstreams are dnsmasq on the segment.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openNetns } from '../../plugins/linux/netns.ts';
import { PluginClient } from '../../plugins/sdk/client.ts';
import { eventually } from '../support/deadline.ts';
import type { HostProcess } from '../support/process.ts';
import { requires } from '../support/requires.ts';
import { type Container, createLab, type Lab, newId } from './bridge-lab.ts';
import { sendMutants, startLoad } from './dns-load.ts';

requires('root', 'bridge', 'veth', 'nftables');

const rounds = Number(process.env['CLEAT_ROUNDS'] ?? 40);
const labs: Lab[] = [];

async function withLab(use: (lab: Lab) => Promise<void>): Promise<void> {
  const lab = await createLab({ daemon: { config: { engines: [] } } });
  labs.push(lab);
  try {
    await use(lab);
  } finally {
    await lab.close();
  }
}

const dig = async (from: Pick<Container, 'sh'>, args: string): Promise<string> =>
  (await from.sh(`dig +tries=1 +time=2 ${args} || true`)).trim();

const short = async (from: Pick<Container, 'sh'>, args: string): Promise<string> =>
  (await dig(from, `+short ${args}`)).split('\n').sort().join(' ');

const status = async (from: Pick<Container, 'sh'>, args: string): Promise<string> =>
  /status: (\w+)/.exec(await dig(from, args))?.[1] ?? 'no answer';

/** dnsmasq as an upstream on a host of the segment. */
async function startUpstream(host: Lab['outside'], address: string, args: readonly string[]): Promise<HostProcess> {
  const started = host.start('dnsmasq', [
    '-k',
    '-C',
    '/dev/null',
    '-h',
    '-R',
    `--listen-address=${address}`,
    '--bind-interfaces',
    '--log-queries',
    '--log-facility=-',
    ...args,
  ]);
  await eventually(
    'the upstream listens',
    async () => (await host.sh(`ss -Hlun | grep -c ${address}:53 || true`)) !== '0',
  );
  return started;
}

const listening = (where: Pick<Container, 'sh'>, server: string): Promise<unknown> =>
  eventually(`${server} answers`, async () => (await status(where, `@${server} localhost`)) === 'NOERROR', {
    everyMs: 20,
  });

test('on the gateway addresses, over UDP and TCP, IPv4 and IPv6, and to nobody from elsewhere', () =>
  withLab(async (lab) => {
    const pools = ['10.71.0.0/24', 'fd71::/64'];
    const red = await lab.network({ pools, options: { 'cleat.dns': 'gateway' } });
    const blue = await lab.network({ pools: ['10.72.0.0/24'], options: { 'cleat.dns': 'gateway' } });
    const web = await lab.container(red, {
      address: '10.71.0.2/24',
      address6: 'fd71::2/64',
      options: { 'cleat.name': 'web', 'cleat.alias': 'search,*.app' },
    });
    await lab.container(red, { address: '10.71.0.3/24', options: { 'cleat.name': 'two', 'cleat.alias': 'search' } });
    const far = await lab.container(blue, { address: '10.72.0.2/24', options: { 'cleat.name': 'far' } });
    await listening(web, '10.71.0.1');
    await listening(far, '10.72.0.1');
    for (const how of ['@10.71.0.1', '@10.71.0.1 +tcp', '@fd71::1', '@fd71::1 +tcp']) {
      await listening(web, how.slice(1));
      assert.is(await short(web, `${how} search`), '10.71.0.2 10.71.0.3', how);
      assert.is(await short(web, `${how} WEB AAAA`), 'fd71::2', how);
      assert.is(await short(web, `${how} x.app`), '10.71.0.2', how);
      assert.is(await short(web, `${how} -x fd71::2`), 'web.', how);
      assert.is(await short(web, `${how} far`), '', how);
    }
    assert.is(
      await status(web, '@10.72.0.1 far'),
      'no answer',
      "the gateway of another network does not speak to this network's containers",
    );
    await lab.outside.sh('ip route add 10.71.0.0/24 via 198.51.100.1; ip route add 10.72.0.0/24 via 198.51.100.1');
    assert.is(await status(lab.outside, '@10.71.0.1 web'), 'no answer', 'nor to the outside');
    assert.is(await short(lab.host, '@10.71.0.1 web'), '10.71.0.2', 'the host is on the network');
  }));

test('EDNS as RFC 6891 wants it, and everything odd', () =>
  withLab(async (lab) => {
    const records = Array.from({ length: 100 }, (_, i) => `192.0.2.${i}`).join('; ');
    const red = await lab.network({
      pools: ['10.71.0.0/24'],
      options: { 'cleat.dns': 'gateway', 'cleat.dns.record.many': records },
    });
    const web = await lab.container(red, { address: '10.71.0.2/24', options: { 'cleat.name': 'web' } });
    const server = '@10.71.0.1';
    await listening(web, '10.71.0.1');
    // The probes of dnsflagday's genreport.
    for (const [args, wanted] of [
      ['+noedns +noad +norec', 'NOERROR'],
      ['+edns=0 +noad +norec', 'NOERROR'],
      ['+edns=1 +noednsneg', 'BADVERS'],
      ['+ednsopt=100', 'NOERROR'],
      ['+ednsflags=0x80', 'NOERROR'],
      ['+dnssec', 'NOERROR'],
      ['+edns=1 +ednsopt=100 +noednsneg', 'BADVERS'],
      ['+bufsize=512', 'NOERROR'],
      ['+nsid +cookie +subnet=0.0.0.0/0', 'NOERROR'],
      ['+padding=64', 'NOERROR'],
      ['+opcode=4', 'NOTIMP'],
      ['+opcode=15', 'NOTIMP'],
      ['-c CH', 'REFUSED'],
      ['-t AXFR +tcp', 'no answer'],
      ['-t TYPE65280', 'NOERROR'],
      ['-t ANY', 'NOERROR'],
    ] as const) {
      assert.is(await status(web, `${server} web ${args}`), wanted, args);
    }
    assert.match(await dig(web, `${server} web +dnssec`), /EDNS: version: 0, flags: do; udp: 1232/);
    assert.match(
      await dig(web, `${server} web +ednsflags=0x80`),
      /EDNS: version: 0, flags:; udp/,
      'unknown flags are not echoed',
    );
    assert.not.match(await dig(web, `${server} web +noedns`), /EDNS/);
    assert.match(await dig(web, `${server} many +noedns +ignore`), /flags: qr aa tc/);
    assert.match(await dig(web, `${server} many +bufsize=4096 +ignore`), /flags: qr aa tc/);
    assert.is((await short(web, `${server} many`)).split(' ').length, 100, 'and comes again over TCP');
    assert.match(await dig(web, `${server} WeB`), /WeB\.\s+5\s+IN\s+A/, '0x20');
    assert.match(await dig(web, `${server} nosuch`), /status: NXDOMAIN[\s\S]*SOA/);
    const pipelined = await web.sh(`dig ${server} +tcp +keepopen +short web nosuch web many web | wc -l`);
    assert.is(pipelined, '103', 'several questions on one connection');
  }));

test('inside a sandbox at 127.0.0.11, and again within a second after kill -9', () =>
  withLab(async (lab) => {
    const red = await lab.network({ pools: ['10.71.0.0/24'] });
    const blue = await lab.network({ pools: ['10.72.0.0/24'], internal: true });
    const web = await lab.container(red, { address: '10.71.0.2/24', options: { 'cleat.name': 'web' } });
    const inner = await lab.container(blue, { address: '10.72.0.2/24', options: { 'cleat.name': 'inner' } });
    await listening(web, '127.0.0.11');
    assert.is(await short(web, '@127.0.0.11 web'), '10.71.0.2');
    assert.is(await short(web, '@127.0.0.11 +tcp web'), '10.71.0.2');
    await listening(inner, '127.0.0.11');
    assert.is(await short(inner, '@127.0.0.11 inner'), '10.72.0.2');
    assert.is(await status(inner, '@127.0.0.11 example.org'), 'REFUSED', 'an internal network asks nobody outside');
    assert.is(await short(inner, '@127.0.0.11 web'), '');
    await lab.daemon.kill();
    assert.is(await web.sh('nft list tables'), '');
    const killedAt = performance.now();
    await lab.daemon.start();
    await eventually('names are answered again', async () => (await short(web, '@127.0.0.11 web')) === '10.71.0.2', {
      everyMs: 10,
    });
    console.log(`# answered ${Math.round(performance.now() - killedAt)} ms after the start was asked for`);
    await lab.daemon.stop();
    assert.is(await web.sh('nft list tables'), '');
    await lab.daemon.start();
    await web.remove();
  }));

test('upstreams: cache, split DNS, one that is silent, one that changes, one that is ourselves', () =>
  withLab(async (lab) => {
    const [one, two] = [lab.outside, lab.other];
    const first = await startUpstream(one, '198.51.100.9', [
      '--address=/example.org/192.0.2.1',
      '--host-record=ttl.example.net,192.0.2.8',
      '--local-ttl=30',
    ]);
    const second = await startUpstream(two, '198.51.100.8', [
      '--address=/example.org/192.0.2.2',
      '--address=/corp.example/192.0.2.3',
      '--local-ttl=30',
    ]);
    const resolvConf = join(lab.host.dir, 'resolv.conf');
    writeFileSync(resolvConf, 'nameserver 198.51.100.9\nsearch lan.example\n');
    const options = {
      'cleat.dns': 'gateway',
      'cleat.dns.forward.corp.example': '198.51.100.8',
      'cleat.dns.record.out': 'CNAME www.example.org',
    };
    const red = await lab.network({ pools: ['10.71.0.0/24'], options });
    const web = await lab.container(red, { address: '10.71.0.2/24', options: { 'cleat.name': 'web' } });
    const at = '@10.71.0.1';
    await listening(web, '10.71.0.1');
    await eventually(
      'resolv.conf is followed',
      async () => (await short(web, `${at} www.example.org`)) === '192.0.2.1',
    );
    assert.is(await short(web, `${at} db.corp.example`), '192.0.2.3', 'split DNS');
    assert.is(await short(web, `${at} out`), '192.0.2.1 www.example.org.', 'a local CNAME that leads outside');
    assert.is(await short(web, `${at} web.lan.example`), '10.71.0.2', "the host's search domain behind a name");

    await Promise.all(Array.from({ length: 20 }, () => short(web, `${at} ttl.example.net`)));
    const asked = first.output().match(/query\[A\] ttl\.example\.net/g)?.length;
    assert.is(asked, 1, 'twenty at a time are one question upstream');
    const ttl = /IN\s+A\s/.test(await dig(web, `${at} ttl.example.net`))
      ? Number(/ttl\.example\.net\.\s+(\d+)/.exec(await dig(web, `${at} ttl.example.net`))?.[1])
      : -1;
    assert.ok(ttl >= 0 && ttl <= 30, `TTL ${ttl}`);

    writeFileSync(resolvConf, 'nameserver 198.51.100.7\nnameserver 198.51.100.8\n');
    await eventually('the other server', async () => (await short(web, `${at} new.example.org`)) === '192.0.2.2');
    // Nobody has 198.51.100.7: nothing comes back from there.
    const times: number[] = [];
    for (let i = 0; i < 10; i++)
      times.push(Number(/Query time: (\d+)/.exec(await dig(web, `${at} n${i}.example.org`))?.[1]));
    assert.ok(Math.max(...times) < 300, `a silent upstream costs ${times.join(', ')} ms`);

    const config = { engines: [], dns: { forward: { 'hup.example': '198.51.100.9' } } };
    writeFileSync(join(lab.host.dir, 'networkd.json'), JSON.stringify(config));
    await lab.daemon.signal('SIGHUP');
    await eventually('SIGHUP: other servers for a domain', async () =>
      (await lab.daemon.cleat('dns', 'status')).includes('hup.example'),
    );

    writeFileSync(resolvConf, 'nameserver 10.71.0.1\n');
    await eventually('our own address is found out', async () =>
      (await lab.daemon.cleat('dns', 'status')).includes('loop'),
    );
    assert.is(await status(web, `${at} loop.example.org`), 'SERVFAIL');
    for (const upstream of [first, second]) await upstream.stop();
  }));

test('10 000 mutated packets on the wire: it goes on answering, and nothing that it sends is malformed', () =>
  withLab(async (lab) => {
    const red = await lab.network({ pools: ['10.71.0.0/24'], options: { 'cleat.dns': 'gateway' } });
    const web = await lab.container(red, {
      address: '10.71.0.2/24',
      options: { 'cleat.name': 'web', 'cleat.alias': '*.app' },
    });
    await listening(web, '10.71.0.1');
    using netns = openNetns(lab.host.path(web.netns));
    const { replies, malformed } = await sendMutants(netns, '10.71.0.1', 10_000);
    assert.ok(replies > 1000, `${replies} replies`);
    assert.equal(malformed, []);
    assert.is(await short(web, '@10.71.0.1 web'), '10.71.0.2');
    assert.not.match(lab.daemon.log(), /"level":[56]0/, 'nothing is reported as a defect');
  }));

test('names that engines give with the request for an address', () =>
  withLab(async (lab) => {
    const ipam = new PluginClient({ url: `unix://${lab.daemon.socket('cleat-ipam')}` }).ipam;
    const { poolId } = await ipam.requestPool({
      addressSpace: 'cleat-local',
      pool: '10.71.0.0/24',
      options: {},
      v6: false,
    });
    await ipam.requestAddress({ poolId, isGateway: true, serial: false, options: {}, address: '10.71.0.1' });
    const options = { 'com.docker.network.endpoint.name': 'Newer' };
    const { address } = await ipam.requestAddress({ poolId, isGateway: false, serial: false, options });
    const red = await lab.network({ pools: ['10.71.0.0/24'], options: { 'cleat.dns': 'gateway' } });
    const web = await lab.container(red, { address });
    await listening(web, '10.71.0.1');
    assert.is(await short(web, '@10.71.0.1 newer'), address.replace(/\/.*/, ''));
  }));

test(`${rounds} alias changes under constant load: no query lost, no stale answer`, () =>
  withLab(async (lab) => {
    const red = await lab.network({ pools: ['10.71.0.0/16'], options: { 'cleat.dns': 'gateway' } });
    const base = await lab.container(red, {
      address: '10.71.0.2/16',
      options: { 'cleat.name': 'base', 'cleat.alias': 'search' },
    });
    await listening(base, '10.71.0.1');
    using netns = openNetns(lab.host.path(base.netns));
    const load = startLoad(netns, '10.71.0.1', 'search', 8);
    const changes: { address: string; addedBy: number; removedFrom: number; removedBy: number }[] = [];
    for (let i = 0; i < rounds; i++) {
      const address = `10.71.${1 + (i >> 8)}.${i & 255}`;
      const endpointId = newId();
      const ports = { exposedPorts: [], portBindings: [] };
      await lab.client.network.createEndpoint({
        networkId: red,
        endpointId,
        interface: { address: `${address}/16` },
        options: { 'cleat.alias': 'search' },
        ...ports,
      });
      await lab.client.network.join({
        networkId: red,
        endpointId,
        sandboxKey: '/run/netns/none',
        options: {},
        ...ports,
      });
      const addedBy = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 5));
      const removedFrom = performance.now();
      await lab.client.network.leave({ networkId: red, endpointId });
      const removedBy = performance.now();
      await lab.client.network.deleteEndpoint({ networkId: red, endpointId });
      changes.push({ address, addedBy, removedFrom, removedBy });
    }
    await load.stop();
    assert.is(load.lost(), 0);
    let seen = 0;
    const byAddress = new Map(changes.map((change) => [change.address, change]));
    for (const { sentAt, addresses } of load.answers) {
      for (const address of addresses) {
        const change = byAddress.get(address);
        if (change === undefined) continue;
        seen++;
        assert.ok(sentAt <= change.removedBy, `${address} was given ${sentAt - change.removedBy} ms after it had gone`);
      }
    }
    let at = 0;
    for (const { address, addedBy, removedFrom } of changes) {
      // Answers are in the order of their coming.
      while (at < load.answers.length && load.answers[at]!.receivedAt < addedBy) at++;
      for (let i = at; i < load.answers.length && load.answers[i]!.receivedAt < removedFrom; i++) {
        const { sentAt, addresses } = load.answers[i]!;
        if (sentAt > addedBy) assert.ok(addresses.includes(address), `${address} was missing after it had come`);
      }
    }
    assert.ok(seen > rounds, `${load.answers.length} answers, ${seen} with a new address`);
    console.log(`# ${load.answers.length} queries answered during ${rounds} changes`);
  }));

test('one container that floods does not starve another', () =>
  withLab(async (lab) => {
    const red = await lab.network({ pools: ['10.71.0.0/24'], options: { 'cleat.dns': 'gateway' } });
    const web = await lab.container(red, { address: '10.71.0.2/24', options: { 'cleat.name': 'web' } });
    const noisy = await lab.container(red, { address: '10.71.0.3/24', options: { 'cleat.name': 'noisy' } });
    await listening(web, '10.71.0.1');
    let over = false;
    const flood = noisy
      .sh(
        `echo 'x.example.org A' > ${lab.host.dir}/flood; echo $$ > ${lab.host.dir}/flood.pid; exec dnsperf -s 10.71.0.1 -d ${lab.host.dir}/flood -l 25 -q 1000 -c 16`,
      )
      .finally(() => {
        over = true;
      });
    const counted = (): Promise<string> =>
      lab.host.sh('curl -s --unix-socket /run/cleat/networkd.sock http://x/metrics');
    await eventually(
      'the flood is on',
      async () => Number(/outcome="failed"} (\d+)/.exec(await counted())?.[1] ?? 0) > 1000,
      { everyMs: 20 },
    );
    for (let i = 0; i < 10; i++) assert.is(await short(web, '@10.71.0.1 web'), '10.71.0.2');
    assert.not(over, 'all that during the flood');
    await noisy.sh(`kill -INT $(cat ${lab.host.dir}/flood.pid)`);
    assert.match(await flood, /Queries lost/);
  }));

test.after(() => Promise.all(labs.map((lab) => lab.close())).then(() => {}));
test.run();
